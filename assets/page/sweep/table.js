/**
 * The table of a sweep: a row per method with K*, flips and area, and a cell per budget that says
 * whether the answer is the full one. A cell opens its method and budget. Knows curves; nothing of
 * the server.
 */
import { reading } from "../common/dominance_table.js";
import { mark, node, svg, term } from "../common/dom.js";
import { lineStyle, pointInWords } from "./plot.js";

const HEADS = [
  ["Method"],
  ["K*", "The smallest budget from which on every larger one gives the full answer", "k-star"],
  ["Flips", "How often the full answer comes or goes along the budgets; 1 is a clean break", "flips"],
  ["Area", "Mean probability of the full answer over the logarithm of the budget: 1 is the best", "area"],
  [
    "Random",
    "The area, over the same budgets, of random that counts positions as the method does and drops " +
      "at its layers",
    "own random",
  ],
];
const SIGNS = { same: "=", different: "≠", unknown: "·", failed: "!" };
const WORDS = { same: "the full answer", different: "another answer", unknown: "not asked yet" };

/** A short piece of a method's line, as the plot draws it. */
export function lineSwatch(place) {
  const { colour, symbol, dash } = lineStyle(place);
  const shapes = {
    circle: "M12 3a4 4 0 1 0 .01 0z",
    square: "M8.5 3.5h7v7h-7z",
    diamond: "M12 2l5 5-5 5-5-5z",
    "triangle-up": "M12 2l5 9h-10z",
    "triangle-down": "M12 12l5-9h-10z",
    pentagon: "M12 2l5 3.8-2 6h-6l-2-6z",
    star: "M12 1l1.6 4h4.4l-3.5 2.6 1.3 4.4-3.8-2.7-3.8 2.7 1.3-4.4-3.5-2.6h4.4z",
    hexagon: "M9.5 3h5l2.5 4-2.5 4h-5l-2.5-4z",
  };
  const gaps = { solid: null, dash: "5 3", dot: "2 2" }[dash];
  return svg(
    "svg",
    {
      class: "vt-swatch-line",
      viewBox: "0 0 24 14",
      "aria-hidden": "true",
      style: `color: var(${colour})`,
    },
    svg("path", {
      d: "M0 7H24",
      stroke: "currentColor",
      "stroke-width": 2,
      "stroke-dasharray": gaps,
    }),
    svg("path", { d: shapes[symbol], fill: "currentColor" }),
  );
}

const two = (value) => (typeof value === "number" ? value.toFixed(2) : "…");

function stateOf({ answer, failure, same }) {
  if (answer) return same ? "same" : "different";
  return failure ? "failed" : "unknown";
}

/** A budget's cell: a button where there is something to open, hatched below the floor. */
function cell(curve, budget, onOpen) {
  const point = curve.points.find((candidate) => candidate.budget === budget);
  if (!point) {
    const below = budget < curve.floor;
    const words = `${curve.title} can't go below ${curve.floor}`;
    return node("td", { "data-out": below, title: below ? words : null });
  }
  const is = stateOf(point);
  const words = is === "failed" ? point.failure.error : WORDS[is];
  const said = point.answer
    ? pointInWords(curve.title, point)
    : `${curve.title}, ${budget} tokens: ${words}`;
  const button = node(
    "button",
    {
      type: "button",
      "data-is": is,
      "data-safe": curve.kStar === budget,
      title: said,
      "aria-label": said,
    },
    SIGNS[is],
  );
  button.addEventListener("click", () => onOpen(curve.key, budget));
  return node("td", {}, button);
}

function row(curve, budgets, onOpen) {
  const numbers = [
    curve.done ? (curve.kStar ?? "none") : "…",
    curve.flips ?? "…",
    two(curve.auc),
    curve.aucRandom === null && curve.done ? "–" : two(curve.aucRandom),
  ];
  return node(
    "tr",
    { "data-method": curve.key },
    node("th", { scope: "row" }, lineSwatch(curve.place), curve.title),
    ...numbers.map((text) => node("td", {}, String(text))),
    ...budgets.map((budget) => cell(curve, budget, onOpen)),
  );
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** "24–96": the lowest and the highest of several. */
const span = (values) => {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? `${low}` : `${low}–${high}`;
};

/** What the draws of random come to; null until all are there. */
export function randomInSum(draws) {
  if (!draws.length || !draws.every(({ done }) => done)) return null;
  return {
    kStar: span(draws.map(({ kStar }) => kStar)),
    flips: mean(draws.map(({ flips }) => flips)),
    auc: mean(draws.map(({ auc }) => auc)),
  };
}

function randomRow(draws, chance, budgets, onOpen) {
  const sum = randomInSum(draws);
  const at = new Map(chance.filter(Boolean).map((each) => [each.budget, each]));
  const numbers = sum
    ? [sum.kStar, sum.flips.toFixed(1), two(sum.auc), two(sum.auc)]
    : ["…", "…", "…", "…"];
  const cells = budgets.map((budget) => {
    const found = at.get(budget);
    if (!found) return node("td");
    const said = `Random, ${budget} tokens: the full answer in ${found.same} of ${found.draws} draws`;
    const is = found.same === found.draws ? "same" : found.same ? "some" : "different";
    const button = node(
      "button",
      { type: "button", "data-is": is, title: said, "aria-label": said },
      `${found.same}`,
    );
    button.addEventListener("click", () => onOpen(draws[0].key, budget));
    return node("td", {}, button);
  });
  const swatch = svg(
    "svg",
    {
      class: "vt-swatch-line",
      viewBox: "0 0 24 14",
      "aria-hidden": "true",
      style: "color: var(--vt-soft)",
    },
    svg("path", {
      d: "M0 7H24",
      stroke: "currentColor",
      "stroke-width": 2,
      "stroke-dasharray": "5 3",
    }),
  );
  return node(
    "tr",
    { "data-method": "random" },
    node(
      "th",
      { scope: "row", title: "K*: from the best to the worst draw; flips and area: means" },
      swatch,
      `Random, ${draws.length} draws`,
    ),
    ...numbers.map((text) => node("td", {}, text)),
    ...cells,
  );
}

/** The panel of the table. onOpen(key, budget). */
export function sweepTable(onOpen) {
  const head = node("tr");
  const body = node("tbody");
  const table = node("table", { class: "vt-table vt-sweep-table" }, node("thead", {}, head), body);
  const note = node(
    "p",
    { class: "vt-note" },
    "K*: from this budget on, every larger one gives the full answer. = the full answer, ≠ another one, " +
      "hatched: below the method's floor. A cell opens its method and budget in the tab Explore.",
  );
  const whole = node(
    "section",
    { class: "vt-panel", id: "vt-sweep-table" },
    node("h2", {}, "Where does it break?"),
    node(
      "div",
      {
        class: "vt-sweep-scroll",
        tabindex: "0",
        role: "group",
        "aria-label": "Table of the sweep",
      },
      table,
    ),
    note,
  );
  let drawn = "";

  const update = ({ curves, random, chance }) => {
    const all = [...curves, ...random.slice(0, 1)];
    const budgets = [...new Set(all.flatMap(({ points }) => points.map(({ budget }) => budget)))];
    budgets.sort((a, b) => a - b);
    const now = JSON.stringify([
      curves.map((c) => [
        c.key,
        c.place,
        c.aucRandom,
        c.points.map((p) => [p.budget, stateOf(p), p.likelihood]),
      ]),
      chance.map((c) => c?.same),
      budgets,
    ]);
    if (drawn === now) return;
    drawn = now;
    const focused = document.activeElement?.getAttribute("aria-label");
    head.replaceChildren(
      ...HEADS.map(([text, title, word]) =>
        node("th", { scope: "col", title }, word ? term(word, text) : text),
      ),
      ...budgets.map((budget) => node("th", { scope: "col" }, String(budget))),
    );
    body.replaceChildren(
      ...curves.map((curve) => row(curve, budgets, onOpen)),
      randomRow(random, chance, budgets, onOpen),
    );
    if (focused)
      [...body.querySelectorAll("button")]
        .find((b) => b.getAttribute("aria-label") === focused)
        ?.focus();
    mark(whole, "data-rows", curves.length + 1);
  };
  return { node: whole, update };
}

/** The table as rows for a spreadsheet, and a column for the answer at every budget. */
export function sweepRows({ case: kase, full, curves, random: draws, mdi }) {
  const budgets = [
    ...new Set([...curves, ...draws].flatMap(({ points }) => points.map((p) => p.budget))),
  ];
  budgets.sort((a, b) => a - b);
  const column = `mdi_${mdi.stage}${mdi.first ? "_with_first" : ""}`;
  const said = ({ points }) =>
    Object.fromEntries(
      budgets.flatMap((budget) => {
        const point = points.find((candidate) => candidate.budget === budget);
        const { answer } = point ?? {};
        return [
          [`answer_at_${budget}`, answer?.text ?? null],
          [`p_at_${budget}`, point?.likelihood ?? null],
          [`${column}_at_${budget}`, reading(answer?.dominance, mdi.first)?.stages[mdi.stage]?.[0] ?? null],
        ];
      }),
    );
  return [...curves, ...draws].map((curve) => ({
    method: curve.key,
    k_star: curve.kStar,
    flips: curve.flips,
    area: curve.auc,
    random: curve.random ?? null,
    area_of_random: curve.aucRandom ?? null,
    floor: curve.floor,
    question: kase.question,
    full_answer: full?.text ?? null,
    truth: kase.truth ?? null,
    model: kase.model,
    case: kase.id,
    ...said(curve),
  }));
}
