/**
 * What the pruned run costs against the full one: counted exactly, and as measured. Numbers that
 * are not known yet are dots. Knows nothing of answers' words.
 */
import { node, show, term, write } from "../../common/dom.js";
import { tableButton } from "../../common/download.js";
import { format } from "../../common/format.js";
import { costOf } from "../../common/payload.js";

/** The unit in which the full run's number is easy to read. */
function unit(size, names) {
  const step = Math.max(0, Math.min(names.length - 1, Math.floor(Math.log10(size || 1) / 3)));
  return { name: names[step], divide: 1000 ** step };
}

const BYTES = ["B", "KB", "MB", "GB"];
const FLOPS = ["FLOPs", "KFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs"];
const small = (x) => (x < 10 ? x.toFixed(2) : x < 100 ? x.toFixed(1) : format.count(x));

const ms = (name) => (answer) => {
  const seconds = answer?.seconds?.[name];
  return typeof seconds === "number" ? seconds : null;
};

/** Seconds of one step of decoding; the prefill has given the answer's first token already. */
function perToken(answer) {
  const [seconds, steps] = [ms("decode")(answer), (answer?.dominance?.answer ?? 1) - 1];
  return seconds !== null && steps > 0 ? seconds / steps : null;
}

const ROWS = [
  {
    key: "tokens_mean",
    word: "mean budget",
    name: () => "tokens, mean over layers",
    of: (run) => run?.mean,
    say: () => format.tenths,
  },
  {
    key: "tokens_last_layer",
    name: () => "tokens at the last layer",
    of: (run) => run?.final,
    say: () => format.count,
  },
  {
    key: "prefill_flops",
    word: "flops",
    name: (full) => `prefill ${unit(full, FLOPS).name}`,
    of: (run) => run?.flops,
    say: (full) => (x) => small(x / unit(full, FLOPS).divide),
  },
  {
    key: "tower_flops",
    name: (full) => `vision tower ${unit(full, FLOPS).name}`,
    of: (run) => run?.tower_flops || null,
    say: (full) => (x) => small(x / unit(full, FLOPS).divide),
  },
  {
    key: "kv_bytes",
    word: "kv cache",
    name: (full) => `KV cache, ${unit(full, BYTES).name}`,
    of: (run) => run?.kv_bytes,
    say: (full) => (x) => small(x / unit(full, BYTES).divide),
  },
  {
    key: "vision_seconds",
    name: () => "vision ms",
    of: ms("vision"),
    say: () => format.milliseconds,
    shared: "one look",
  },
  {
    key: "selection_seconds",
    name: () => "selection ms",
    of: ms("select"),
    say: () => format.milliseconds,
  },
  {
    key: "prefill_seconds",
    word: "prefill",
    name: () => "prefill ms",
    of: ms("prefill"),
    say: () => format.milliseconds,
  },
  {
    key: "decode_seconds_per_token",
    name: () => "decode ms per token",
    of: perToken,
    say: () => format.milliseconds,
  },
];

const LAST = 1; // the row that says nothing new where all layers see the same tokens

/** A row; `word` of the glossary makes its name a term. */
function line({ word }) {
  const [full, kept, change] = ["td", "td", "td"].map((tag) => node(tag));
  const name = word ? term(word, "") : node("span");
  const head = node("th", { scope: "row" }, name);
  return { name, full, kept, change, whole: node("tr", {}, head, full, kept, change) };
}

/** The panel of the costs. */
export function costPanel(store) {
  const lines = ROWS.map(line);
  const heads = ["", "full", "kept", "change"].map((text) =>
    text ? node("th", { scope: "col" }, text) : node("td"),
  );
  const table = node(
    "table",
    { class: "vt-table vt-costs" },
    node("thead", {}, node("tr", {}, ...heads)),
    node("tbody", {}, ...lines.map(({ whole }) => whole)),
  );
  const note = node(
    "p",
    { class: "vt-note" },
    "A multiply and an add count as two. ms are measured; both runs take what one look at the " +
      "picture gave. Decoding: a token after the first.",
  );
  /** The numbers of the full and the pruned run, as far as they are known. */
  const runs = (kase) => {
    const { n } = kase.grid;
    const { answer } = store.answers.pruned;
    const { final, mean } = store.choice;
    const done = answer && !answer.partial && !answer.error ? answer : null;
    const counted = { ...costOf(kase, store.choice), final, mean };
    const full = { ...store.full, final: n, mean: n };
    // only those of the full run that this answer was compared with: others are of another machine
    // or another hour, and are not set beside it
    if (done) full.seconds = done.full_seconds ?? {};
    return { full, kept: { ...counted, ...done } };
  };
  const records = () => {
    const { full, kept } = runs(store.state.case);
    return ROWS.map(({ key, of }) => ({ what: key, full: of(full), kept: of(kept) }));
  };
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-costs" },
    node("h2", {}, "Cost against all tokens", tableButton("costs", records)),
    table,
    note,
  );

  const update = (state) => {
    const { full, kept } = runs(state.case);
    show(lines[LAST].whole, Math.abs(kept.final - kept.mean) >= 0.5);
    ROWS.forEach((row, i) => {
      const [a, b] = [row.of(full), row.of(kept)];
      const inWords = row.say(a);
      const known = (x) => x !== null && x !== undefined;
      if (row.key === "tower_flops") show(lines[i].whole, known(b)); // not of what was stored before
      write(lines[i].name, row.name(a));
      write(lines[i].full, known(a) && (a > 0 || b > 0) ? (a > 0 ? inWords(a) : "·") : "·");
      write(lines[i].kept, known(b) ? inWords(b) : "·");
      const change = known(b) && a > 0 ? (row.shared ?? format.change(a, b)) : "";
      write(lines[i].change, change);
    });
  };
  return { node: panel, update };
}
