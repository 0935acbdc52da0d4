/**
 * Which patches a word would read if the model read only some of its cached keys: TidalDecode and
 * TokenSelect side by side, word by word or over the whole answer, with what each would miss.
 */
import { taskBar } from "../common/answers/task.js";
import { mark, node, segments, show, svg, write } from "../common/dom.js";
import { format } from "../common/format.js";
import { mapPicture, rangeOf, rowsOf } from "./patch_map.js";

const WHEN = [
  ["word", "This word", "What is read at the chosen word"],
  ["often", "Whole answer", "How often each patch is read, over all words"],
  ["first", "First read", "At which word each patch is read first"],
];
const SEGMENTS = [
  ["heat", "All layers", "Mean over the layers that follow a choice"],
  ["early", "Early", "Layers behind the first choice"],
  ["late", "Late", "Layers behind the second choice"],
];
const VOTES = [
  ["heat", "Layers that read", "The share of layers whose heads have voted a patch in"],
  ["votes", "Votes of a layer", "What the heads of the layer chosen above give each patch"],
];
const HOW =
  "The answer stays dense: shown is what each method would read, given the dense queries. " +
  "TidalDecode: two layers choose, the others follow, a set per head. TokenSelect: the heads of " +
  "every layer vote. Nothing is dropped: the next word chooses anew. The first word comes from the " +
  "prompt, which both read whole. Both were made for texts of many thousand tokens; no speed is claimed here.";

const share = (x) => format.percent(x, 1);

/**
 * A number, a choice or a tick that sets one of the settings; an empty field leaves it to the
 * method. Layers count from 1 on the page and from 0 in messages.
 */
function setting(selection, name, label, kind, choices = [], preset = "") {
  const id = `vt-inside-set-${name}`;
  const input =
    kind === "choice"
      ? node("select", { id }, ...choices.map((value) => node("option", { value }, value)))
      : node("input", {
          id,
          type: kind === "tick" ? "checkbox" : "number",
          step: kind === "real" ? 0.05 : 1,
          placeholder: preset,
        });
  input.addEventListener("change", () => {
    if (kind === "tick") return selection.read({ [name]: input.checked });
    if (kind === "choice") return selection.read({ [name]: input.value });
    const value = input.value === "" ? undefined : Number(input.value) - (kind === "layer" ? 1 : 0);
    if (value === undefined || Number.isFinite(value)) selection.read({ [name]: value });
  });
  return { node: node("label", { for: id }, label, input), input };
}

/** A bar per layer of what is kept; layers that read everything have none. */
function layerBars(id, label) {
  const drawing = svg("svg", {
    class: "vt-inside-small",
    id,
    viewBox: "0 0 360 54",
    preserveAspectRatio: "none",
    role: "img",
  });
  const update = (values, name) => {
    const wide = 360 / Math.max(1, values.length);
    drawing.replaceChildren(
      ...values.map((value, layer) => {
        const all = value === null;
        const height = all ? 54 : 54 * value;
        const words = all ? "reads everything" : `${label} ${share(value)}`;
        return svg(
          "rect",
          { x: layer * wide + 1, y: 54 - height, width: wide - 2, height, "data-all": all ? "" : null },
          svg("title", {}, `layer ${layer + 1}: ${words}`),
        );
      }),
    );
    const known = values.filter((value) => value !== null);
    const mean = known.reduce((sum, value) => sum + value, 0) / Math.max(1, known.length);
    mark(drawing, "aria-label", `${name}: ${label} by layer, mean ${share(mean)}`);
    return known.length ? mean : null;
  };
  return { node: node("div", {}, drawing), update };
}

/** The map of one method that is to be seen, and how it is put into words. */
function shown(selection, method, segment) {
  const { when, step } = selection.state;
  if (when === "often") {
    const rows = rowsOf(method.often);
    return { values: rows[0], range: [0, 1], say: (x) => `read ${share(x)} of the time` };
  }
  if (when === "first") {
    const rows = rowsOf(method.first);
    return { values: rows[0], range: rangeOf(rows), say: (x) => `first at word ${Math.round(x) + 2}` };
  }
  const values = rowsOf(method[segment])[step - 1] ?? null;
  return { values, range: [0, 1], say: (x) => `read by ${share(x)}` };
}

/** The two methods, their settings and what they would miss. */
export function readsPanel(selection) {
  const { reads } = selection.tasks;
  const asks = taskBar(reads, "Which keys would be read?", "inside-reads", () => selection.askReads());
  let segment = "heat";
  const when = segments("Over", WHEN, (value) => selection.set({ when: value }));
  const parts = segments("TidalDecode's layers", SEGMENTS, (value) => {
    segment = value;
    selection.changed();
  });
  let elected = "heat";
  const ballots = segments("TokenSelect's layers", VOTES, (value) => {
    elected = value;
    const layer = Math.max(0, selection.state.layer);
    if (value === "votes" && reads.reply?.reads.select.layer !== layer) selection.read({ layer });
    selection.changed();
  });
  const runs = segments("Answer", [["full", "Full"], ["pruned", "Pruned"]], (run) =>
    selection.read({ run }),
  );
  const set = (...about) => setting(selection, ...about);
  const keys = set("keys", "keys read", "whole");
  const scope = set("scope", "which compete", "choice", ["all", "visual"]);
  const more = [
    set("start", "first choice, layer", "layer"),
    set("correction", "second choice, layer", "layer"),
    set("theta", "θ of the cache", "real", [], 0.9),
    set("kv_map", "key head", "choice", ["group", "mod"]),
    set("rope", "positions", "choice", ["own", "n_local"]),
    set("n_local", "query's position", "whole", [], 512),
    set("scale", "divide by √d", "tick"),
    set("smooth", "smooth over", "whole", [], 0),
  ];
  const [tidal, select] = ["tidal", "select"].map((name) => mapPicture(selection, `vt-inside-${name}`));
  const [tidalSays, selectSays, answer] = Array.from({ length: 3 }, () => node("p", { class: "vt-small" }));
  answer.id = "vt-inside-apply";
  const notice = node("p", { class: "vt-note", id: "vt-inside-notice" });
  const recall = layerBars("vt-inside-recall", "of its own best keys");
  const mass = layerBars("vt-inside-mass", "of its attention");
  const kept = layerBars("vt-inside-kept", "of its attention");
  const bars = [recall, mass, kept];
  const called = ["recall per layer", "attention kept per layer", "attention kept per layer"];
  const labels = called.map(() => node("p", { class: "vt-small" }));

  function tell(found) {
    const { step, when: chosen } = selection.state;
    const at = step - 1;
    const { tidal: t, select: s } = found;
    const dense = at < 0 && chosen === "word";
    const none = "The first word comes from the prompt: everything is read.";
    tidal.update({ name: "TidalDecode", none, ...shown(selection, t, segment) });
    const voted = elected === "votes" && chosen === "word";
    const heads = selection.runs.full?.heads ?? 1;
    const votes = { range: [0, heads], say: (x) => `${format.tenths(x)} of ${heads} votes` };
    const name = voted ? `TokenSelect, votes in layer ${s.layer + 1}` : "TokenSelect";
    select.update({ name, none, ...shown(selection, s, elected), ...(voted ? votes : {}) });
    const row = Math.max(0, Math.min(at, t.recall.length - 1));
    [t.recall, t.mass, s.mass].forEach((values, i) => {
      const mean = bars[i].update(dense ? [] : (values[row] ?? []), "word");
      write(labels[i], called[i] + (mean === null ? "" : `, mean ${share(mean)}`));
      for (const part of [bars[i].node, labels[i]]) show(part, !dense);
    });
    [t.start + 1, t.correction + 1].forEach((layer, i) => mark(more[i].input, "placeholder", layer));
    const [early, late] = t.visual[row] ?? [0, 0];
    const ofPicture = `${format.tenths(early)} and ${format.tenths(late)} of ${t.keys} keys are the picture's`;
    const again = t.persistence[Math.max(0, row - 1)];
    const stays = again ? `; ${share(again[0])} and ${share(again[1])} were read at the word before` : "";
    write(
      tidalSays,
      `Layers ${t.start + 1} and ${t.correction + 1} choose: ${ofPicture}${stays}. ` +
        `Ever read: ${share(t.union ?? 0)} of the patches.`,
    );
    write(
      selectSays,
      `${share(s.hit_rate ?? 0)} of the choices come from the cache (θ ${s.theta}). ` +
        `Ever read: ${share(s.union ?? 0)} of the patches; TidalDecode reads ` +
        `${share(found.coverage[row] ?? 0)} of those of this word.`,
    );
    write(answer, `Reading no more than TidalDecode's keys, the model says “${t.text}”${t.agrees ? ", the same." : "."}`);
    const every = [t.everything && "TidalDecode", s.everything && "TokenSelect"].filter(Boolean);
    write(notice, every.length ? `With ${t.keys} keys ${every.join(" and ")} read${every.length > 1 ? "" : "s"} everything.` : "");
    show(notice, every.length > 0);
  }

  const body = node(
    "div",
    { class: "vt-inside-pair" },
    node("div", {}, parts.group, tidal.node, tidalSays, labels[0], recall.node, labels[1], mass.node, answer),
    node("div", {}, ballots.group, select.node, selectSays, labels[2], kept.node),
  );
  const update = () => {
    const { state } = selection;
    const found = reads.reply?.reads;
    asks.update();
    asks.go.disabled = !selection.tasks.look.reply?.done;
    when.press(state.when);
    parts.press(segment);
    ballots.press(elected);
    runs.press(state.run);
    for (const [{ input }, value] of [[keys, state.reading.keys], [scope, state.reading.scope]])
      if (document.activeElement !== input) input.value = value;
    show(body, Boolean(found));
    if (!found) show(notice, false);
    mark(body, "data-keys", found?.tidal.keys);
    if (found) tell(found);
  };
  const nodes = [
    node("div", { class: "vt-tools" }, ...asks.buttons, runs.group, when.group),
    node("div", { class: "vt-tools vt-inside-settings" }, keys.node, scope.node),
    node("details", {}, node("summary", {}, "Settings of both"), node("div", { class: "vt-inside-settings" }, ...more.map((each) => each.node))),
    ...asks.nodes,
    notice,
    body,
    node("p", { class: "vt-note" }, HOW),
  ];
  return { nodes, update };
}
