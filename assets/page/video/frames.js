/**
 * The strip of frames: above what QuoTA makes of each, a grid; below which of its patches another
 * method keeps; between them the tokens of each frame as bars. Knows nothing of the server.
 */
import { KEPT_LINE, deviceScale, stroke, tile } from "../canvas/brush.js";
import { drawOverlay } from "../canvas/overlay.js";
import { mark, node, write } from "../common/dom.js";
import { format } from "../common/format.js";

const DROPPED = "rgba(9, 9, 11, .77)";
const SHARED = "as before: a pair";

const seconds = (x) => `${x.toFixed(x < 100 ? 1 : 0)} s`;

function fitted(canvas) {
  const scale = deviceScale();
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((x) =>
    Math.round(x * scale),
  );
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return width && height ? scale : 0;
}

/** Draw rows x columns lines over a frame; one without tokens is dark and hatched. */
function drawGrid(canvas, [rows, columns]) {
  const scale = fitted(canvas);
  if (!scale) return;
  const { width, height } = canvas;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  if (!rows) {
    pen.fillStyle = DROPPED;
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = tile(pen, "/", scale);
    pen.fillRect(0, 0, width, height);
    return;
  }
  const lines = new Path2D();
  const inset = scale; // the outermost lines lie inside
  const at = (i, count, length) => inset + (i * (length - 2 * inset)) / count;
  for (let r = 0; r <= rows; r++) {
    lines.moveTo(0, at(r, rows, height));
    lines.lineTo(width, at(r, rows, height));
  }
  for (let c = 0; c <= columns; c++) {
    lines.moveTo(at(c, columns, width), 0);
    lines.lineTo(at(c, columns, width), height);
  }
  stroke(pen, lines, 3 * scale, "rgba(9, 9, 11, .45)");
  stroke(pen, lines, 1.5 * scale, KEPT_LINE);
}

/** Draw which patches of a frame a method keeps. */
function drawKept(canvas, kase, choice, view) {
  const scale = fitted(canvas);
  if (!scale) return;
  if (!choice) return canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  const stage = choice.stages.at(-1);
  drawOverlay(
    canvas,
    {
      view: kase.grid.views[view],
      cells: kase.grid.cells[view],
      padded: kase.grid.padded,
      fate: stage.fate,
      scores: stage.scores,
      mode: "both",
      colouring: "rank",
      opacity: 0.55,
      cursor: -1,
    },
    scale,
  );
}

function bar(kind) {
  const fill = node("i");
  const text = node("span");
  const whole = node("div", { class: "vt-frame-bar", "data-kind": kind }, fill, text);
  return {
    node: whole,
    update(count, most, words) {
      fill.style.width = `${(100 * count) / Math.max(1, most)}%`;
      write(text, words);
    },
  };
}

/** One frame: its time and score, two pictures, two bars; the second of a pair has none. */
function frameCard(frame, number, frames) {
  const shares = frames[number - 1]?.view === frame.view;
  const under = (canvas) => {
    const image = node("img", { src: frame.src, alt: "" });
    const box = node("div", { class: "vt-frame-picture" }, image, canvas);
    const fit = () => (box.style.aspectRatio = `${image.naturalWidth} / ${image.naturalHeight}`);
    image.addEventListener("load", fit, { once: true });
    return box;
  };
  const grid = node("canvas", { role: "img" });
  const kept = node("canvas", { role: "img" });
  const [above, below] = [bar("quota"), bar("other")];
  const score = node("i", { class: "vt-frame-score" });
  score.style.width = `${100 * frame.score}%`;
  const whole = node(
    "figure",
    { class: "vt-frame", "data-frame": number },
    node(
      "figcaption",
      { title: `frame ${frame.number} of the video` },
      seconds(frame.second),
      node("b", {}, `q ${frame.score >= 0.005 ? frame.score.toFixed(2) : "0.00"}`),
    ),
    node("div", { class: "vt-frame-q", "aria-hidden": "true" }, score),
    under(grid),
    above.node,
    below.node,
    under(kept),
  );
  const where = `Frame at ${seconds(frame.second)}`;
  const update = ({ kase, choice, grids }, most, kepts) => {
    const { view } = frame;
    const [shape, alive] = [grids?.[view], kepts[view]];
    const [rows, columns] = shape ?? [0, 0];
    const count = rows * columns;
    drawGrid(grid, [rows, columns]);
    drawKept(kept, kase, choice, view);
    if (shares) {
      above.update(0, most, SHARED);
      below.update(0, most, SHARED);
    } else {
      above.update(count, most, count ? `${rows}×${columns} = ${count}` : "dropped");
      below.update(alive, most, choice ? format.tenths(alive) : "…");
    }
    mark(grid, "aria-label", `${where}: ${count ? `${rows} by ${columns} tokens` : "dropped"}`);
    mark(kept, "aria-label", `${where}: ${format.tenths(alive)} tokens left by the other method`);
    mark(whole, "data-grid", `${rows}x${columns}`);
    mark(whole, "data-kept", shares ? 0 : alive);
  };
  return { node: whole, update };
}

/** How many tokens each view has after a method's last stage; merged ones count in shares. */
function tokensPerFrame(kase, choice) {
  const found = kase.grid.views.map(() => 0);
  if (!choice) return found;
  const { fate } = choice.stages.at(-1);
  const sizes = new Map();
  for (const group of fate) if (group > 0) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  for (let t = 0; t < fate.length; t++) {
    const frame = kase.grid.place[3 * t];
    if (frame >= 0 && fate[t] >= 0) found[frame] += fate[t] ? 1 / sizes.get(fate[t]) : 1;
  }
  return found.map((count) => Math.round(10 * count) / 10);
}

/** The strip. */
export function frameStrip(selection) {
  const strip = node("div", { class: "vt-frames" });
  let shown = null;
  let cards = [];
  const update = () => {
    const { video, kase, choice, grids } = selection;
    if (shown !== video) {
      shown = video;
      cards = video.frames.map(frameCard);
      strip.replaceChildren(...cards.map((card) => card.node));
      strip.style.setProperty("--vt-count", Math.min(9, cards.length));
    }
    const alive = tokensPerFrame(kase, choice);
    const sizes = (grids ?? []).map(([rows, columns]) => rows * columns);
    const { rows, columns } = video.grid.views[0];
    const most = Math.max(rows * columns, ...sizes);
    for (const card of cards) card.update(selection, most, alive);
  };
  new ResizeObserver(() => selection.video && selection.changed()).observe(strip);
  return { node: strip, update };
}
