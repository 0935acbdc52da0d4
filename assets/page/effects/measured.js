/**
 * What `python -m explorer effects` has counted over the built-in scenes: a table with intervals and
 * paired tests for one method at one budget, and as many answers that pruning fixes as it breaks.
 */
import { openTab } from "../common/bridge.js";
import { mark, node, scrollable, svg, term, write } from "../common/dom.js";
import { tableButton } from "../common/download.js";
import { format } from "../common/format.js";

const STRATEGIES = ["random", "popular", "adversarial"];
const CAPTIONS = [["chair_i", "CHAIRi"], ["chair_s", "CHAIRs"], ["recall", "recall"]];
const WIDTH = 300;
const LEGEND =
  "Whiskers and brackets: 95 %, scenes drawn with replacement. p: McNemar's exact test of the same " +
  "probes against all tokens; probes of one scene are alike, so it is a little too sure. ECE (ten " +
  "bins) and Brier: how far the model is from being as often right as it is sure. Most things that " +
  "are asked about are not there, as three strategies name some.";

const pointOf = (value, low, high) => ({ value, low, high });

/** The figures that are drawn: name, and of every row its value with an interval. */
function drawnOf({ rows }) {
  const captions = CAPTIONS.filter(([key]) => rows.every((row) => row.captions?.[key]));
  return [
    ["probes right", rows.map((row) => pointOf(row.accuracy, ...row.interval))],
    ...captions.map(([key, name]) => [
      `captions: ${name}`,
      rows.map(({ captions: { [key]: c } }) => pointOf(c.value, c.low, c.high)),
    ]),
  ];
}

/** One measure of all rows as points with whiskers, from the lowest to the highest. */
function chart([name, points], rows) {
  const low = Math.min(...points.map((p) => p.low));
  const high = Math.max(...points.map((p) => p.high), low + 0.01);
  const at = (value) => 8 + ((WIDTH - 16) * (value - low)) / (high - low);
  const marks = points.map(({ value, low: from, high: to }, i) => {
    const y = 11 + 18 * i;
    return svg(
      "g",
      { class: `vt-whisker vt-whisker-${i}` },
      svg("title", {}, `${rows[i].title}: ${value.toFixed(3)} [${from.toFixed(3)}, ${to.toFixed(3)}]`),
      svg("line", { x1: at(from), x2: at(to), y1: y, y2: y }),
      [
        svg("circle", { cx: at(value), cy: y, r: 5 }),
        svg("rect", { x: at(value) - 4.5, y: y - 4.5, width: 9, height: 9 }),
        svg("path", { d: `M${at(value)} ${y - 6}l6 11h-12z` }),
      ][i % 3],
    );
  });
  const told = rows.map((row, i) => `${row.title} ${points[i].value.toFixed(3)}`).join(", ");
  const height = 18 * rows.length + 4;
  return node(
    "figure",
    { class: "vt-measure" },
    node("figcaption", {}, `${name}, ${low.toFixed(2)} to ${high.toFixed(2)}`),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `${name}: ${told}` }, ...marks),
  );
}

const pValue = (p) => (p < 0.001 ? "< .001" : format.brief(p));

/** The columns of the table: a head, what stands there, what it means, its word of the glossary. */
const COLUMNS = [
  ["right", (r) => format.brief(r.accuracy), "share of right answers"],
  ["95 %", (r) => r.interval.map((x) => x.toFixed(3).replace(/^0/, "")).join("–"), "its interval"],
  ...STRATEGIES.map((s) => [
    `F1 ${s}`,
    (r) => format.brief(r.by_strategy[s].f1),
    `F1 with the things that are not there chosen by the strategy “${s}”, as POPE reports it`,
  ]),
  ["hallucinated", (r) => String(r.hallucinated), "said to be there, and are not", "hallucination"],
  ["lost", (r) => String(r.lost), "there, and said not to be"],
  ["fixed", (r) => String(r.fixed ?? ""), "wrong with all tokens, right here"],
  ["broken", (r) => String(r.broken ?? ""), "right with all tokens, wrong here"],
  ["p", (r) => (r.p === undefined ? "" : pValue(r.p)), "McNemar's exact test of fixed and broken", "holm"],
  ["ECE", (r) => (r.ece === null ? "" : format.brief(r.ece)), "expected calibration error", "ece"],
  ["Brier", (r) => (r.brier === null ? "" : format.brief(r.brier)), "Brier score"],
  ...CAPTIONS.map(([key, name]) => [
    name,
    (r) => (r.captions ? format.brief(r.captions[key].value) : ""),
    `${name} of captions`,
    key === "recall" ? "recall" : "chair",
  ]),
];

function table(set) {
  const rows = set.rows.map((row, i) =>
    node(
      "tr",
      {},
      node("th", { scope: "row" }, node("i", { class: `vt-sign-${i}` }, "●■▲"[i]), ` ${row.title}`),
      ...COLUMNS.map(([, text]) => node("td", {}, text(row))),
    ),
  );
  const heads = COLUMNS.map(([name, , title, word]) =>
    node("th", { scope: "col", title }, word ? term(word, name) : name),
  );
  return node(
    "table",
    { class: "vt-measured" },
    node("thead", {}, node("tr", {}, node("td"), ...heads)),
    node("tbody", {}, ...rows),
  );
}

const plainRows = (set) =>
  set.rows.map((row) => ({
    method: row.row, budget: set.budget, scenes: set.scenes, weights: set.weights, n: row.n,
    right: row.accuracy, low: row.interval[0], high: row.interval[1], precision: row.precision,
    recall: row.recall, f1: row.f1, yes_ratio: row.yes_ratio, hallucinated: row.hallucinated,
    lost: row.lost, fixed: row.fixed, broken: row.broken, p: row.p, ece: row.ece, brier: row.brier,
    ...Object.fromEntries(CAPTIONS.map(([key]) => [`caption_${key}`, row.captions?.[key].value])),
  }));

/** What the test against random says. */
function againstRandom(set) {
  const row = set.rows.find(({ p_random: p }) => p !== undefined);
  if (!row) return "";
  const random = set.rows.at(-1).title;
  return (
    `Against ${random} at the same cost: ${row.better} probes right that it has wrong, ` +
    `${row.worse} the other way round (p ${pValue(row.p_random).replace(/^(?!<)/, "= ")}).`
  );
}

/** One example; a click opens it in "Explore". */
function example(store, set, each) {
  const article = /^[aeiou]/.test(each.thing) ? "an" : "a";
  const question = `Is there ${article} ${each.thing} in the image?`;
  const moved =
    each.full === null ? "" : `P(yes) ${format.probability(each.full)} → ${format.probability(each.pruned)}`;
  const button = node(
    "button",
    { type: "button", class: "vt-effect", title: `Open scene ${each.seed} in Explore` },
    node("b", {}, each.thing),
    node("span", {}, each.there ? "is there" : "is not there"),
    node("span", { class: "vt-small" }, moved),
  );
  button.addEventListener("click", () => {
    const { method, budget } = set;
    const show = { method, budget };
    store.opening.ask({ kind: "scene", seed: each.seed, question, show });
    openTab("Explore");
  });
  return node("li", {}, button);
}

function gallery(store, set, kind, title) {
  const items = set.examples[kind].map((each) => example(store, set, each));
  return node(
    "div",
    { "data-kind": kind },
    node("h3", {}, title),
    items.length ? node("ul", { class: "vt-effect-list" }, ...items) : node("p", {}, "none"),
  );
}

/** The panel. measured: what the files of the command hold. */
export function measuredPanel(store, measured) {
  const panel = node("section", { class: "vt-panel", id: "vt-measured" });
  panel.append(node("h2", {}, "The same over many scenes"));
  if (!measured.length) {
    panel.append(node("p", {}, "Nobody has measured yet: python -m explorer effects"));
    return { node: panel };
  }
  const choice = node("select", { "aria-label": "Method and budget" });
  choice.append(
    ...measured.map((set, i) => node("option", { value: i }, `${set.title} at ${set.budget}`)),
  );
  const [about, against] = [node("p", { id: "vt-measured-about" }), node("p", { class: "vt-small" })];
  const figures = node("div", { class: "vt-measures" });
  const scroll = scrollable("What was counted");
  const examples = node("div", { class: "vt-effect-examples" });
  const csv = tableButton("effects", () => plainRows(measured[choice.value]));
  const draw = () => {
    const set = measured[choice.value];
    const { n } = set.rows[0];
    write(
      about,
      `${format.count(n)} probes and ${set.scenes} captions of ${set.scenes} scenes that pico was ` +
        `not trained on, weights ${set.weights}. Other models may differ. Run it again: ` +
        `python -m explorer effects --method ${set.method} --budget ${set.budget} ` +
        `--scenes ${set.scenes}`,
    );
    write(against, againstRandom(set));
    figures.replaceChildren(...drawnOf(set).map((each) => chart(each, set.rows)));
    scroll.replaceChildren(table(set));
    examples.replaceChildren(
      gallery(store, set, "fixed", "▲ Pruning fixes these"),
      gallery(store, set, "broken", "▼ Pruning breaks these"),
    );
    mark(panel, "data-set", `${set.method} ${set.budget}`);
  };
  choice.addEventListener("change", draw);
  panel.append(
    node("div", { class: "vt-tools" }, choice),
    about,
    figures,
    scroll,
    against,
    node("p", { class: "vt-small" }, LEGEND),
    csv,
    examples,
  );
  draw();
  return { node: panel };
}
