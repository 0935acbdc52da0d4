/**
 * Scores on trial: insertion and deletion curves, and a table of their areas and of how far each
 * score agrees with the oracle. Gets plain numbers; knows no patches.
 */
import { mark, node, show, svg, term, write } from "../common/dom.js";
import { format } from "../common/format.js";
import { taskBar } from "../common/answers/task.js";

const [WIDTH, HEIGHT] = [330, 190];
const FRAME = { left: 34, right: 322, top: 10, bottom: 164 };
const LOOKS = { oracle: "vt-trial-oracle", random: "vt-trial-random" };
const COLUMNS = [
  ["insertion", "insertion area", "larger is better", "insertion"],
  ["deletion", "deletion area", "smaller is better", "insertion"],
  ["spearman", "Spearman", "rank correlation of the score with the oracle's", "spearman"],
  ["overlap", "overlap", "share of its best patches that are also the oracle's", "oracle"],
];
const EXPLAINED =
  "Patches come in (insertion) or go away (deletion), best first; the height is the mean " +
  "probability of the full answer's tokens. Orange: the oracle; dashed: random, the mean of 5 " +
  "orders; thick: the chosen method. Positions count as each method on trial counts them.";
const TRUE_CURVE =
  " Dotted: what the method really keeps at each budget, since its kept sets don't follow the " +
  "order of its score, or leave inside the language model.";

const x = (share) => FRAME.left + (FRAME.right - FRAME.left) * share;
const y = (s) => FRAME.bottom - (FRAME.bottom - FRAME.top) * s;
const path = (points) =>
  points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)},${y(b).toFixed(1)}`).join("");

function axes(n, foot) {
  const line = (s) =>
    svg("line", { x1: FRAME.left, x2: FRAME.right, y1: y(s), y2: y(s), class: "vt-grid" });
  const text = (at, height, anchor, words) =>
    svg("text", { x: at, y: height, "text-anchor": anchor }, words);
  return [
    ...[0, 0.5, 1].flatMap((s) => [line(s), text(FRAME.left - 6, y(s) + 4, "end", String(s))]),
    text(FRAME.left, HEIGHT - 12, "middle", "0"),
    text(x(0.5), HEIGHT - 12, "middle", foot),
    text(FRAME.right, HEIGHT - 12, "end", String(n)),
  ];
}

/** One drawing of all curves of a kind; `chosen` is drawn strong. */
function drawing(store, kind, foot) {
  const whole = svg("svg", {
    class: "vt-curves vt-trial",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
  });
  const update = (trials, n, chosen) => {
    const order = [...trials].sort((a, b) => (a.name === chosen) - (b.name === chosen));
    const lines = order.flatMap((trial) => {
      const values = trial[kind];
      const at = (i) => Math.min(1, (i * trial.step) / n);
      const look =
        LOOKS[trial.name] ?? (trial.name === chosen ? "vt-trial-chosen" : "vt-trial-other");
      const title = svg("title", {}, trialName(store, trial));
      const curve = svg("path", { class: look, d: path(values.map((s, i) => [at(i), s])) }, title);
      const pruned = kind === "inserted" && trial.name === chosen && trial.pruned;
      if (!pruned) return [curve];
      const points = pruned.map(([k, s]) => [k / n, s]);
      return [curve, svg("path", { class: "vt-trial-pruned", d: path(points) })];
    });
    whole.replaceChildren(...axes(n, foot), ...lines);
    mark(whole, "aria-label", `${kind === "inserted" ? "Insertion" : "Deletion"} curves`);
  };
  return { node: whole, update };
}

function scoreName({ state }, name) {
  if (name === "oracle") return "oracle (leave one out)";
  const { listed, later } = state.case;
  const known = [...listed, ...(later ?? [])].find(({ key }) => key === name);
  return name === "random" ? "random" : (known?.title ?? name);
}

/** A reference says which rule for positions it has: there may be one for each. */
function trialName(store, { name, renumber }) {
  const rule = renumber ? "positions counted anew" : "positions kept";
  return LOOKS[name] ? `${scoreName(store, name)}, ${rule}` : scoreName(store, name);
}

function table(store) {
  const body = node("tbody");
  const words = Object.fromEntries(COLUMNS.map(([key, text, , word]) => [key, term(word, text)]));
  const heads = COLUMNS.map(([key, , title]) => node("th", { scope: "col", title }, words[key]));
  const head = node(
    "thead",
    {},
    node("tr", {}, node("th", { scope: "col" }, "order by"), ...heads),
  );
  const whole = node("table", { class: "vt-trials" }, head, body);
  const update = (trials, budget, chosen) => {
    write(words.overlap, `overlap at ${budget}`);
    const sorted = [...trials].sort((a, b) => b.insertion - a.insertion);
    body.replaceChildren(
      ...sorted.map((trial) =>
        node(
          "tr",
          { "data-name": trial.name, "data-chosen": trial.name === chosen },
          node("th", { scope: "row" }, trialName(store, trial)),
          ...COLUMNS.map(([key]) =>
            node("td", {}, trial[key] === null ? "" : format.brief(trial[key])),
          ),
        ),
      ),
    );
  };
  return { node: node("div", { class: "vt-trials-box" }, whole), update };
}

/** The panel: scores of the chosen method, or of all. */
export function evaluationPanel(store, task) {
  const state = { id: null, reply: null, method: null };
  const ask = (methods) => {
    const { case: kase, budget } = store.state;
    task.ask({ case: kase.id, methods, budget });
  };
  const everyone = node(
    "button",
    { type: "button", class: "vt-ask", id: "vt-trial-all" },
    "All methods",
  );
  everyone.addEventListener("click", () => ask(store.state.case.listed.map(({ key }) => key)));
  const asks = taskBar(task, "Try this score", "trial", () => ask([store.state.method]));
  const inserting = drawing(store, "inserted", "patches put in");
  const deleting = drawing(store, "deleted", "patches taken away");
  const rows = table(store);
  const line = node("p", { class: "vt-small" });
  const pictures = node(
    "div",
    { class: "vt-trial-two" },
    node("figure", {}, node("figcaption", {}, "Insertion"), inserting.node),
    node("figure", {}, node("figcaption", {}, "Deletion"), deleting.node),
  );
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-trial" },
    node("h2", {}, "Does a score put first what the answer rests on?"),
    node("div", { class: "vt-tools" }, ...asks.buttons, everyone),
    ...asks.nodes,
    pictures,
    line,
    rows.node,
  );
  const update = () => {
    const { case: kase, method } = store.state;
    if (state.id !== kase.id) task.forget();
    state.id = kase.id;
    const { trials = [], budget } = task.reply ?? {};
    write(asks.go, `Try the score of ${scoreName(store, method)}`);
    asks.update();
    everyone.disabled = task.busy;
    for (const part of [pictures, line, rows.node]) show(part, trials.length > 0);
    mark(panel, "data-state", task.busy ? "busy" : trials.length ? "done" : null);
    if (!trials.length || (state.reply === task.reply && state.method === method)) return;
    Object.assign(state, { reply: task.reply, method });
    const chosen = trials.some(({ name }) => name === method) ? method : null;
    inserting.update(trials, kase.grid.n, chosen);
    deleting.update(trials, kase.grid.n, chosen);
    rows.update(trials, budget, chosen);
    const real = trials.find(({ name }) => name === chosen)?.pruned;
    write(line, EXPLAINED + (real ? TRUE_CURVE : ""));
  };
  return { node: panel, update };
}
