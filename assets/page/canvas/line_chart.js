/**
 * Small drawings in SVG that change in place: the staircase of visual tokens over the decoder
 * layers, and two curves on a log axis. They get plain numbers; they know no case and no answer.
 */
import { mark, node, svg, write } from "../common/dom.js";
import { format } from "../common/format.js";

/** Say in words how many tokens each run of layers sees: "196 in 1–2, 41 in 3–12". */
function inWords(layers) {
  const runs = [];
  layers.forEach((alive, l) => {
    const last = runs.at(-1);
    if (last?.alive === alive) last.to = l + 1;
    else runs.push({ alive, from: l + 1, to: l + 1 });
  });
  if (runs.length === 1) return format.count(runs[0].alive);
  const span = ({ from, to }) => (from === to ? `${from}` : `${from}–${to}`);
  return runs.map((run) => `${format.count(run.alive)} in ${span(run)}`).join(", ");
}

/** What a budget is the mean of; of a method that only wipes caches, and so costs the same. */
const counted = (layers, wipes) =>
  wipes
    ? `Visual tokens left in the caches of the ${layers} decoder layers, whose mean is the ` +
      "budget; all of them enter every layer, so that the cost is that of all tokens"
    : `Visual tokens that enter each of the ${layers} decoder layers, whose mean is the budget`;

/** The staircase: one column per layer, filled as high as its share of the visual tokens. */
export function staircase() {
  const drawing = svg("svg", {
    class: "vt-steps",
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  const words = node("p", { class: "vt-note" });
  let columns = [];

  function lay(count) {
    mark(drawing, "viewBox", `0 0 ${count * 100} 100`);
    const gap = count > 20 ? 14 : 7;
    columns = Array.from({ length: count }, (_, l) => {
      const box = { x: l * 100 + gap / 2, width: 100 - gap };
      const label = svg("title");
      const bar = svg("rect", { ...box, class: "vt-step" });
      const frame = svg("rect", { ...box, y: 0, height: 100, class: "vt-step-frame" });
      return { bar, label, whole: svg("g", {}, frame, bar, label) };
    });
    drawing.replaceChildren(...columns.map(({ whole }) => whole));
  }

  const update = (layers, n, wipes = false, sentence = null) => {
    if (columns.length !== layers.length) lay(layers.length);
    columns.forEach(({ bar, label }, l) => {
      const height = (100 * layers[l]) / n;
      mark(bar, "y", (100 - height).toFixed(1));
      mark(bar, "height", height.toFixed(1));
      write(label, `layer ${l + 1}: ${layers[l]} visual tokens`);
    });
    const meaning = sentence ?? counted(layers.length, wipes);
    write(words, `${meaning}: ${inWords(layers)}.`);
  };
  return { node: node("div", { class: "vt-stairs" }, drawing, words), update };
}

const WIDTH = 350;
const HEIGHT = 116;
const FRAME = { left: 30, right: 344, top: 10, bottom: 96 };

function ticksOf(low, high) {
  const powers = [];
  for (let e = Math.ceil(Math.log10(low)); e <= Math.log10(high); e++) powers.push(10 ** e);
  return powers.length > 1
    ? powers
    : [...new Set([...powers, 0.5, 2, 5])].filter((t) => t >= low && t <= high);
}

/** A path through the values, broken where one is missing. */
function pathOf(values, x, y) {
  let pen = "M";
  return values
    .map((value, l) => {
      if (!(value > 0)) {
        pen = "M";
        return "";
      }
      const step = `${pen}${x(l).toFixed(1)},${y(value).toFixed(1)}`;
      pen = "L";
      return step;
    })
    .join("");
}

/** Put the names where the curves lie furthest apart, one above and one below. */
function placeNames(names, curves, x, y) {
  const gap = (l) => Math.abs(Math.log(curves[0][l] / (curves[1][l] ?? curves[0][l]))) || 0;
  const layers = [...curves[0].keys()].filter((l) => curves[0][l] > 0);
  if (!layers.length) return;
  const widest = layers.reduce((best, l) => (gap(l) > gap(best) ? l : best), layers.at(-1));
  const heights = curves.map((curve) => (curve[widest] > 0 ? y(curve[widest]) : FRAME.bottom));
  const upper = heights[0] <= heights[1] ? 0 : 1;
  names.forEach((name, i) => {
    const wished = heights[i] + (i === upper ? -6 : 14);
    mark(name, "x", Math.min(FRAME.right - 12, Math.max(FRAME.left + 12, x(widest))).toFixed(1));
    mark(name, "y", Math.min(FRAME.bottom, Math.max(FRAME.top, wished)).toFixed(1));
  });
}

/** Two curves over the layers on a log axis with a line at 1: full dashed, kept in the accent. */
export function logCurves(label) {
  const axis = svg("g");
  const names = ["full", "kept"].map((name) =>
    svg("text", { x: FRAME.right, "text-anchor": "middle", class: "vt-curve-name" }, name),
  );
  const lines = ["full", "kept"].map((name) => svg("path", { class: `vt-curve vt-curve-${name}` }));
  const targets = svg("g");
  const drawing = svg(
    "svg",
    { class: "vt-curves", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    axis,
    ...lines,
    ...names,
    targets,
  );
  let range = [1, 1];
  let hovers = [];

  function layTargets(count, x) {
    const width = (FRAME.right - FRAME.left) / Math.max(1, count - 1);
    hovers = Array.from({ length: count }, () => svg("title"));
    targets.replaceChildren(
      ...hovers.map((title, l) =>
        svg("rect", { x: x(l) - width / 2, y: 0, width, height: HEIGHT, class: "vt-hover" }, title),
      ),
    );
  }

  function drawAxis(ticks, y, count) {
    const line = (t) =>
      svg("line", {
        x1: FRAME.left,
        x2: FRAME.right,
        y1: y(t),
        y2: y(t),
        class: t === 1 ? "vt-balance" : "vt-grid",
      });
    const number = (t) =>
      svg("text", { x: FRAME.left - 6, y: y(t) + 4, "text-anchor": "end" }, `${t}`);
    const foot = (at, anchor, text) =>
      svg("text", { x: at, y: HEIGHT - 4, "text-anchor": anchor }, text);
    const middle = (FRAME.left + FRAME.right) / 2;
    axis.replaceChildren(
      ...ticks.flatMap((t) => [line(t), number(t)]),
      foot(FRAME.left, "middle", "1"),
      foot(middle, "middle", "decoder layer"),
      foot(FRAME.right, "end", `${count}`),
    );
  }

  /** Forget the range of the axis: another case is shown. */
  const reset = () => (range = [1, 1]);

  const update = (full, kept) => {
    const values = [...full, ...kept].filter((value) => value > 0);
    range = [Math.min(range[0], ...values), Math.max(range[1], ...values)];
    const [low, high] = [range[0] / 1.6, range[1] * 1.6];
    const count = Math.max(full.length, kept.length);
    const x = (l) => FRAME.left + ((FRAME.right - FRAME.left) * l) / Math.max(1, count - 1);
    const share = (value) => Math.log(value / low) / Math.log(high / low);
    const y = (value) => FRAME.bottom - (FRAME.bottom - FRAME.top) * share(value);
    if (hovers.length !== count) layTargets(count, x);
    drawAxis([...new Set([1, ...ticksOf(low, high)])], y, count);
    [full, kept].forEach((curve, i) => mark(lines[i], "d", pathOf(curve, x, y)));
    placeNames(names, [full, kept], x, y);
    [full, kept].forEach((curve, i) =>
      mark(names[i], "visibility", curve.length ? null : "hidden"),
    );
    const text = (value) => (value === null || value === undefined ? "–" : format.brief(value));
    hovers.forEach((title, l) =>
      write(title, `layer ${l + 1}: full ${text(full[l])}, kept ${text(kept[l])}`),
    );
  };
  return { node: drawing, update, reset };
}
