/**
 * The plot of a sweep: above, how likely the full answer is at every budget, chance as a band, full
 * markers where the answer is the full one; below, the MDI. Drawn by plotly.js. Knows curves;
 * nothing of the server.
 */
import { PLOT_CONFIG, plainText } from "../canvas/plotly.js";
import { STAGES, reading } from "../common/dominance_table.js";
import { format } from "../common/format.js";

const SYMBOLS = [
  "circle",
  "square",
  "diamond",
  "triangle-up",
  "triangle-down",
  "pentagon",
  "star",
  "hexagon",
];
const DASHES = ["solid", "dash", "dot"];
const SIZE = { narrow: 8, wide: 9 };
const HEIGHT = { narrow: 520, wide: 560 }; // pixels
const SPLIT = 0.42; // share of the height that the MDI takes, gap included
const NARROW = 640;
const NEAR = { narrow: 1.6, wide: 1.15 }; // two budgets with a smaller ratio have no room for both numbers
const LINE = 48; // letters in a line of a hover label
const LINES = 4;

/** How a line is told from the others: by colour, by shape, and after eight by dashes. */
export const lineStyle = (place) => ({
  colour: `--vt-line-${place % SYMBOLS.length}`,
  symbol: SYMBOLS[place % SYMBOLS.length],
  dash: DASHES[Math.floor(place / SYMBOLS.length) % DASHES.length],
});

/** A long text as a few lines of plain text. */
function wrapped(text) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (lines.at(-1).length + word.length > LINE) lines.push("");
    lines.push(`${lines.pop()} ${word}`.trim());
  }
  const shown = lines.length > LINES ? [...lines.slice(0, LINES), "…"] : lines;
  return shown.map(plainText).join("<br>");
}

const verdict = ({ same, answer }) => {
  const parts = [same ? "the full answer" : "another answer"];
  if (typeof answer.right === "boolean") parts.push(answer.right ? "right" : "wrong");
  return parts.join(", ");
};

/** What a point says when the pointer is on it. */
export const pointInWords = (title, point) =>
  `${title}, ${format.count(point.budget)} tokens: “${point.answer.text}” (${verdict(point)}), ` +
  format.chance(point.likelihood);

const label = (title, point) =>
  `<b>${plainText(title)}</b>, ${format.count(point.budget)} tokens<br>“${wrapped(point.answer.text)}”<br>` +
  `${verdict(point)} · ${format.chance(point.likelihood)}`;

const figure = (value) => (typeof value === "number" && value > 0 ? value : null);

/** The MDI of an answer in some layers, with the prompt's first token or without. */
const mdiOf = (answer, { stage, first }) =>
  figure(reading(answer?.dominance, first)?.stages[stage]?.[0]);

/** The band of random: lowest and highest draw, and the mean. */
function band(chance, look) {
  const known = chance.filter(Boolean);
  const x = known.map(({ budget }) => budget);
  const line = { x, hoverinfo: "skip", mode: "lines", line: { width: 0 } };
  const draws = known[0]?.draws ?? 0;
  return [
    { ...line, y: known.map(({ low }) => low), name: "random, lowest" },
    {
      ...line,
      y: known.map(({ high }) => high),
      fill: "tonexty",
      fillcolor: look.band,
      name: "random, highest",
    },
    {
      x,
      y: known.map(({ mean }) => mean),
      name: "random",
      mode: "lines+markers",
      line: { color: look.soft, width: 2, dash: "dash" },
      marker: { symbol: "line-ew-open", size: 7, color: look.soft },
      customdata: known.map(({ budget }) => [look.random, budget]),
      text: known.map(
        ({ budget, mean, low, high, same }) =>
          `<b>Random</b>, ${format.count(budget)} tokens<br>the full answer in ${same} of ${draws} draws<br>` +
          `mean ${format.chance(mean)}, from ${format.probability(low)} to ${format.probability(high)}`,
      ),
      hovertemplate: "%{text}<extra></extra>",
    },
  ];
}

/** The mean of every other random that a chosen method is read against, in the method's colour. */
function otherMeans(curves, look) {
  const others = new Map(
    curves.filter(({ random }) => random !== look.random).map((curve) => [curve.random, curve]),
  );
  return [...others.values()].map(({ title, place, chance }) => {
    const known = chance.filter(Boolean);
    return {
      x: known.map(({ budget }) => budget),
      y: known.map(({ mean }) => mean),
      name: `random in the way of ${plainText(title)}`,
      mode: "lines",
      line: { color: look.colour(lineStyle(place).colour), width: 1, dash: "dash" },
      text: known.map(
        ({ budget, mean, low, high, same, draws }) =>
          `<b>Random in the way of ${plainText(title)}</b>, ${format.count(budget)} tokens<br>` +
          `the full answer in ${same} of ${draws} draws<br>mean ${format.chance(mean)}, ` +
          `from ${format.probability(low)} to ${format.probability(high)}`,
      ),
      hovertemplate: "%{text}<extra></extra>",
    };
  });
}

/** One method above (probability) and below (MDI), and where its floor is. */
function lines(curve, look, part) {
  const { colour, symbol, dash } = lineStyle(curve.place);
  const color = look.colour(colour);
  const known = curve.points.filter(({ answer }) => answer);
  const shared = {
    x: known.map(({ budget }) => budget),
    name: plainText(curve.title),
    mode: "lines+markers",
    line: { color, width: 2, dash },
    customdata: known.map(({ budget }) => [curve.key, budget]),
    hovertemplate: "%{text}<extra></extra>",
  };
  const filled = known.map(({ same }) => (same ? symbol : `${symbol}-open`));
  const first = { color, symbol: filled, size: look.size, line: { color, width: 2 } };
  const text = known.map((point) => label(curve.title, point));
  const mdi = known.map(({ answer }) => mdiOf(answer, part));
  const traces = [
    { ...shared, y: known.map(({ likelihood }) => likelihood), marker: first, text },
    {
      ...shared,
      y: mdi,
      yaxis: "y2",
      marker: { color, symbol, size: look.size - 3 },
      text: known.map(
        (point, i) =>
          `${label(curve.title, point)}<br>MDI ${mdi[i] === null ? "–" : format.brief(mdi[i])}`,
      ),
    },
  ];
  if (curve.floor > look.lowest) {
    traces.push({
      x: [curve.floor],
      y: [0],
      name: `${plainText(curve.title)}, floor`,
      mode: "markers",
      marker: { symbol: "triangle-right", size: look.size + 4, color },
      text: [
        `<b>${plainText(curve.title)}</b> can't go below ${format.count(curve.floor)} on average:<br>its first layers see more tokens`,
      ],
      hovertemplate: "%{text}<extra></extra>",
    });
  }
  return traces;
}

/** A line down at every floor: to the left of it the method has nothing to show. */
function floors(curves, look) {
  return curves
    .filter(({ floor }) => floor > look.lowest)
    .map(({ floor, place }) => ({
      type: "line",
      x0: floor,
      x1: floor,
      y0: 0,
      y1: 1,
      line: { color: look.colour(lineStyle(place).colour), width: 1, dash: "dot" },
      layer: "below",
    }));
}

/** Budgets whose numbers have room beside each other; of two that are near the larger one stays. */
function apart(ladder, near) {
  const shown = [];
  for (const budget of [...ladder].reverse()) {
    if (!shown.length || shown.at(-1) / budget > near) shown.push(budget);
  }
  return shown.reverse();
}

function layout({ curves, ladder, full, part, perToken, look }) {
  const grid = { gridcolor: look.grid, zeroline: false, linecolor: look.grid, fixedrange: false };
  const ticks = apart(ladder, look.narrow ? NEAR.narrow : NEAR.wide);
  const mdi = mdiOf(full, part);
  const balance = { type: "line", xref: "paper", yref: "y2", x0: 0, x1: 1, layer: "below" };
  const shapes = floors(curves, look);
  shapes.push({ ...balance, y0: 1, y1: 1, line: { color: look.soft, width: 1, dash: "dot" } });
  if (mdi)
    shapes.push({
      ...balance,
      y0: mdi,
      y1: mdi,
      line: { color: look.soft, width: 1.5, dash: "dash" },
    });
  return {
    height: look.narrow ? HEIGHT.narrow : HEIGHT.wide,
    margin: { l: 52, r: 12, t: 10, b: 44 },
    showlegend: false,
    hovermode: "closest",
    dragmode: window.matchMedia("(hover: none)").matches ? false : "zoom", // a finger scrolls the page
    hoverlabel: {
      align: "left",
      bgcolor: look.panel,
      bordercolor: look.soft,
      font: { color: look.text, size: 13 },
    },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: look.soft, size: 12, family: look.family },
    uirevision: look.id, // what a visitor has zoomed into stays while answers come
    xaxis: {
      ...grid,
      type: "log",
      tickangle: 0,
      tickvals: ticks,
      ticktext: ticks.map(String),
      anchor: "y2",
      range: [Math.log10(ladder[0] * 0.9), Math.log10(ladder.at(-1) * 1.1)],
      title: { text: "mean budget: visual tokens kept" },
    },
    yaxis: {
      ...grid,
      domain: [SPLIT, 1],
      range: [-0.04, 1.04],
      title: { text: perToken ? "p of the full answer, per token" : "p of the full answer" },
    },
    yaxis2: {
      ...grid,
      type: "log",
      domain: [0, SPLIT - 0.07],
      title: { text: `MDI, ${part.stage} layers` },
    },
    shapes,
  };
}

/** Colours and sizes as the style sheet has them now. */
function lookOf(node, ladder, id) {
  const style = getComputedStyle(node);
  const colour = (name) => style.getPropertyValue(name).trim();
  const narrow = node.clientWidth < NARROW;
  return {
    id,
    narrow,
    colour,
    size: narrow ? SIZE.narrow : SIZE.wide,
    lowest: ladder[0],
    random: "random",
    text: style.color,
    family: style.fontFamily,
    soft: colour("--vt-soft"),
    grid: colour("--vt-plot-grid"),
    band: colour("--vt-plot-band"),
    panel: colour("--vt-plot-label"),
  };
}

/** Traces and layout for plotly.js. part: {stage, first}, of which layers the MDI is. */
export function sweepFigure(node, { id, curves, chance, ladder, full, part, perToken }) {
  const look = lookOf(node, ladder, id);
  const traces = [
    ...band(chance, look),
    ...otherMeans(curves, look),
    ...curves.flatMap((curve) => lines(curve, look, part)),
  ];
  return {
    traces,
    layout: layout({ curves, ladder, full, part, perToken, look }),
    config: PLOT_CONFIG,
  };
}
