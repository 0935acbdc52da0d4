/**
 * The picture whose patches a hand keeps or drops: brush, lasso, arrow keys. Draws the picked set,
 * the patches that came back, and the lasso. Knows sets; nothing of answers and the server.
 */
import { borders, deviceScale, fillCells, gridOf, stroke } from "../canvas/brush.js";
import { drawOverlay } from "../canvas/overlay.js";
import { pictureLayers } from "../canvas/thumbnails.js";
import { mark, node, segments } from "../common/dom.js";

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const SHAPES = [
  ["brush", "Brush", "Paint over patches"],
  ["lasso", "Lasso", "Draw round patches"],
];
const DOES = [
  ["flip", "Flip", "What is kept is dropped, and the other way round"],
  ["keep", "Keep", "Keep what is touched"],
  ["drop", "Drop", "Drop what is touched"],
];
const KEYS =
  "Arrow keys move, Space flips a patch, K keeps, D drops, I inverts, Ctrl+Z undoes, Ctrl+Y redoes.";
const BACK_LINE = "#67e8f9";

/** Whether a point lies within a polygon, by counting crossings. */
function within([x, y], polygon) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [[ax, ay], [bx, by]] = [polygon[i], polygon[j]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

/** Tokens whose centre lies in the lasso; corners are shares of the view. */
const lassoed = ({ rows, columns }, cells, polygon) =>
  [...cells].filter((token, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return token >= 0 && within([(column + 0.5) / columns, (row + 0.5) / rows], polygon);
  });

/** Cells on the straight way from one to another, so that a quick brush leaves no gaps. */
function way([ax, ay], [bx, by], { rows, columns }) {
  const steps = Math.ceil(2 * Math.max(Math.abs(bx - ax) * columns, Math.abs(by - ay) * rows, 1));
  const at = (share, many) => Math.min(many - 1, Math.max(0, Math.floor(many * share)));
  return Array.from({ length: steps + 1 }, (_, i) => {
    const [x, y] = [ax + ((bx - ax) * i) / steps, ay + ((by - ay) * i) / steps];
    return at(y, rows) * columns + at(x, columns);
  });
}

function outline(canvas, view, cells, tokens) {
  const grid = gridOf(view, canvas);
  const pen = canvas.getContext("2d");
  const chosen = new Set(tokens);
  const is = (i) => (chosen.has(cells[i]) ? 1 : 0);
  fillCells(pen, grid, is, "rgba(103,232,249,.3)");
  const lines = borders(grid, is, 0, () => true, 1.5 * deviceScale());
  stroke(pen, lines, 3 * deviceScale(), BACK_LINE);
}

function drawLasso(canvas, points) {
  const pen = canvas.getContext("2d");
  pen.beginPath();
  points.forEach(([x, y], i) => pen[i ? "lineTo" : "moveTo"](x * canvas.width, y * canvas.height));
  pen.closePath();
  for (const [width, colour] of [
    [4, "rgba(0,0,0,.7)"],
    [2, "#fff"],
  ]) {
    Object.assign(pen, { lineWidth: width * deviceScale(), strokeStyle: colour });
    pen.stroke();
  }
}

/** What a pointer does: a stroke of the brush, or a lasso. */
function hand(frame, picking, tool, look) {
  let stroke = null; // {last, value, points}
  const shareOf = (event) => {
    const box = frame.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const tokensOf = (from, to) => {
    const { view, cells } = look();
    return way(from, to, view).map((i) => cells[i]);
  };
  frame.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    frame.setPointerCapture(event.pointerId);
    const at = shareOf(event);
    const [token] = tokensOf(at, at);
    const value = { keep: 1, drop: 0, flip: 1 - (picking.kept[token] ?? 0) }[tool.does];
    stroke = { last: at, value, points: tool.shape === "lasso" ? [at] : null };
    picking.begin();
    if (!stroke.points) picking.paint([token], value);
  });
  frame.addEventListener("pointermove", (event) => {
    const at = shareOf(event);
    tool.cursor = tokensOf(at, at)[0];
    if (stroke?.points) stroke.points.push(at);
    else if (stroke) picking.paint(tokensOf(stroke.last, at), stroke.value);
    if (stroke) stroke.last = at;
    picking.changed();
  });
  const end = () => {
    if (!stroke) return;
    const { view, cells } = look();
    const { points } = stroke;
    const flip = (tokens) => {
      for (const token of tokens) picking.paint([token], 1 - picking.kept[token]);
    };
    if (points) {
      const inside = lassoed(view, cells, points);
      if (tool.does === "flip") flip(inside);
      else picking.paint(inside, stroke.value);
    }
    stroke = null;
    picking.end();
  };
  for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, end);
  frame.addEventListener("pointerleave", () => {
    tool.cursor = -1;
    picking.changed();
  });
  return () => stroke?.points ?? null;
}

/** What the keys do on the picture. */
function keys(frame, picking, tool, look) {
  const moved = (key) => {
    const { view, cells } = look();
    const at = Math.max(0, cells.indexOf(tool.cursor));
    const [down, right] = ARROWS[key];
    const inside = (n, many) => Math.min(many - 1, Math.max(0, n));
    const row = inside(Math.floor(at / view.columns) + down, view.rows);
    const column = inside((at % view.columns) + right, view.columns);
    tool.cursor = cells[row * view.columns + column];
  };
  frame.addEventListener("keydown", (event) => {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const control = event.ctrlKey || event.metaKey;
    const does = {
      z: control && (() => (event.shiftKey ? picking.redo() : picking.undo())),
      y: control && (() => picking.redo()),
      i: !control && (() => picking.invert()),
      k: !control && (() => picking.change([tool.cursor], 1)),
      d: !control && (() => picking.change([tool.cursor], 0)),
      " ": () => picking.change([tool.cursor], 1 - (picking.kept[tool.cursor] ?? 0)),
    }[key];
    if (!does && !(key in ARROWS)) return;
    event.preventDefault();
    if (key in ARROWS) moved(key);
    else does();
    picking.changed();
  });
  frame.addEventListener("focus", () => {
    if (!(tool.cursor >= 0)) tool.cursor = look().cells.find((token) => token >= 0);
    picking.changed();
  });
}

/** The picture with its tools. back(): tokens that came back and are to be drawn. */
export function pickStage(store, picking, back) {
  const tool = { shape: "brush", does: "flip", cursor: -1 };
  const look = () => {
    const { case: kase, view } = store.state;
    return { kase, view: kase.grid.views[view], cells: kase.grid.cells[view], at: view };
  };
  const { under, over, ready } = pictureLayers(() => picking.changed());
  const frame = node(
    "div",
    { class: "vt-large vt-pick", id: "vt-pick", role: "application", tabindex: "0" },
    under,
    over,
  );
  const lasso = hand(frame, picking, tool, look);
  keys(frame, picking, tool, look);
  const shape = segments("Shape", SHAPES, (value) => {
    tool.shape = value;
    picking.changed();
  });
  const does = segments("What a touch does", DOES, (value) => {
    tool.does = value;
    picking.changed();
  });
  const line = node("p", { class: "vt-small" }, KEYS);
  const update = () => {
    const { kase, view, cells, at } = look();
    shape.press(tool.shape);
    does.press(tool.does);
    const [x0, y0, x1, y1] = view.box;
    frame.style.setProperty("--vt-aspect", (x1 - x0) / (y1 - y0));
    const words = `${picking.count} of ${kase.grid.n} patches kept by hand. ${KEYS}`;
    mark(frame, "aria-label", words);
    if (!ready(kase, at)) return;
    const { scores } = store.choice.stages.at(-1);
    const fate = Int8Array.from(picking.kept, (one) => one - 1);
    const scene = { view, cells, padded: kase.grid.padded, fate, scores, mode: "kept" };
    drawOverlay(
      over,
      { ...scene, colouring: "rank", opacity: 0.55, cursor: tool.cursor ?? -1 },
      deviceScale(),
    );
    if (back().length) outline(over, view, cells, back());
    if (lasso()) drawLasso(over, lasso());
  };
  return { frame, tools: [shape.group, does.group], line, update };
}
