/**
 * Pictures with patches on one canvas: small ones by the dozen, the difference of two kept sets,
 * and how many methods keep each patch. The picture itself is scaled once per size and then copied.
 * Knows kept sets and colours; nothing of answers and the server.
 */
import { node } from "../common/dom.js";
import {
  COLOURS,
  DARK,
  KEPT_LINE,
  borders,
  deviceScale,
  fillCells,
  gridOf,
  pointAt,
  stroke,
  tile,
} from "./brush.js";
import { drawOverlay } from "./overlay.js";

const NEAR = "200px"; // so far from the screen a picture is drawn
const SIDES = 6; // sizes that are kept
const TINTS = { onlyA: "rgba(234, 88, 12, .62)", onlyB: "rgba(37, 99, 235, .62)" };
const NONE = 0.77; // how dark a patch is that nobody keeps
const VOTED = 0.78;

const loaded = new WeakMap(); // case -> {image, waiting}
const scaled = new WeakMap(); // case -> Map of "view width height" -> canvas

/** The uploaded picture; null as long as it isn't there, and then `due()` is called when it is. */
function imageOf(kase, due) {
  if (!loaded.has(kase)) {
    const [image, waiting] = [new Image(), new Set()];
    image.onload = () => {
      for (const draw of waiting) draw();
      waiting.clear();
    };
    image.src = kase.picture.src;
    loaded.set(kase, { image, waiting });
  }
  const { image, waiting } = loaded.get(kase);
  if (image.complete && image.naturalWidth) return image;
  waiting.add(due);
  return null;
}

/** One view of the picture at a size; null as long as the picture isn't there. */
function backdrop(kase, view, width, height, due) {
  const image = imageOf(kase, due);
  if (!image) return null;
  const sizes = scaled.get(kase) ?? new Map();
  scaled.set(kase, sizes);
  const name = `${view} ${width} ${height}`;
  if (!sizes.has(name)) {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    const [x0, y0, x1, y1] = kase.grid.views[view].box;
    const [across, down] = [width / (x1 - x0), height / (y1 - y0)];
    pen.fillStyle = kase.picture.backdrop ?? "rgb(128, 128, 128)";
    pen.fillRect(0, 0, width, height);
    pen.imageSmoothingQuality = "high";
    const { width: w, height: h } = kase.picture;
    pen.drawImage(image, -x0 * across, -y0 * down, w * across, h * down);
    if (sizes.size >= SIDES) sizes.delete(sizes.keys().next().value);
    sizes.set(name, canvas);
  }
  return sizes.get(name);
}

function sceneOf(kase, choice, { view = 0, mode = "kept", cursor = -1 }) {
  const stage = choice.stages.at(-1);
  return {
    view: kase.grid.views[view],
    cells: kase.grid.cells[view],
    padded: kase.grid.padded,
    fate: stage.fate,
    groups: stage.groups,
    scores: stage.scores,
    mode,
    colouring: "rank",
    opacity: 0.55,
    cursor,
  };
}

/**
 * Two canvases, one over the other: the picture, drawn once, and what is drawn over it again and
 * again. Copying the picture in every frame would take most of the time, and so would asking how
 * large each canvas is: an observer tells it. What is far from the screen is not drawn.
 * @param {function} due called when there is a reason to draw: another size, or now in view
 */
export function pictureLayers(due) {
  const under = node("canvas", { "aria-hidden": "true" });
  const over = node("canvas", { "aria-hidden": "true" });
  let size = { width: 0, height: 0 };
  let laid = "";
  let owner = null;
  new ResizeObserver(([{ contentRect }]) => {
    const { width, height } = contentRect;
    size = { width: Math.round(width * deviceScale()), height: Math.round(height * deviceScale()) };
    if (size.width && size.height) due();
  }).observe(over);
  let near = false;
  new IntersectionObserver(
    (seen) => {
      near = seen.at(-1).isIntersecting;
      if (near) due();
    },
    { rootMargin: NEAR },
  ).observe(over);

  /** Make both ready for a view; false while out of view, without a size or a picture. */
  const ready = (kase, view) => {
    const { width, height } = size;
    if (!near || !width || !height) return false;
    const now = `${view} ${width} ${height}`;
    if (owner === kase && laid === now) return true;
    const picture = backdrop(kase, view, width, height, due);
    if (!picture) return false;
    for (const canvas of [under, over]) Object.assign(canvas, size);
    under.getContext("2d").drawImage(picture, 0, 0);
    [owner, laid] = [kase, now];
    return true;
  };
  return { under, over, ready };
}

/** Draw what a choice keeps over a picture that lies under the canvas. */
export function drawKept(canvas, kase, choice, look = {}) {
  drawOverlay(canvas, sceneOf(kase, choice, look), (look.lines ?? 1) * deviceScale());
}

export const SMALL_LINES = 0.75; // thickness of lines on a small picture

const overlays = new WeakMap();

/**
 * A small picture on a single canvas: no colours of scores, only what is kept. False, and `due()`
 * is called later, as long as the picture isn't there.
 */
export function drawSmall(canvas, kase, choice, due) {
  const view = 0;
  const width = Math.round(canvas.clientWidth * deviceScale());
  const height = Math.round(canvas.clientHeight * deviceScale());
  const picture = width && height ? backdrop(kase, view, width, height, due) : null;
  if (!picture) return false;
  Object.assign(canvas, { width, height });
  const overlay = overlays.get(canvas) ?? document.createElement("canvas");
  overlays.set(canvas, overlay);
  Object.assign(overlay, { width, height });
  drawKept(overlay, kase, choice, { view, lines: SMALL_LINES });
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0);
  pen.drawImage(overlay, 0, 0);
  return true;
}

const dark = (share) => `rgba(${DARK}, ${share})`;

/** Kept by both: clear, with a line round it; by one: its tint and pattern; by none: dark. */
export function drawDifference(canvas, kase, [a, b], { view = 0, cursor = -1 } = {}) {
  const pen = canvas.getContext("2d");
  const grid = gridOf(kase.grid.views[view], canvas);
  const cells = kase.grid.cells[view];
  const [ours, theirs] = [a, b].map((choice) => choice.stages.at(-1).fate);
  const kept = (fate, i) => cells[i] >= 0 && fate[cells[i]] === 0;
  const is = {
    both: (i) => kept(ours, i) && kept(theirs, i),
    onlyA: (i) => kept(ours, i) && !kept(theirs, i),
    onlyB: (i) => kept(theirs, i) && !kept(ours, i),
    none: (i) => cells[i] >= 0 && !kept(ours, i) && !kept(theirs, i),
  };
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.lineCap = "square";
  fillCells(pen, grid, is.none, dark(NONE));
  fillCells(pen, grid, is.none, tile(pen, "/", deviceScale()));
  for (const [name, pattern] of [
    ["onlyA", "."],
    ["onlyB", "\\"],
  ]) {
    fillCells(pen, grid, is[name], TINTS[name]);
    fillCells(pen, grid, is[name], tile(pen, pattern, deviceScale()));
  }
  const line = borders(
    grid,
    (i) => (is.both(i) ? 1 : 0),
    0,
    () => true,
    deviceScale(),
  );
  stroke(pen, line, 2 * deviceScale(), KEPT_LINE);
  pointAt(pen, grid, cells, cursor, deviceScale());
}

/** How many of `most` methods keep each patch, from dark to bright; nobody: dark and hatched. */
export function drawVotes(canvas, kase, { votes, most }, { view = 0, cursor = -1 } = {}) {
  const pen = canvas.getContext("2d");
  const grid = gridOf(kase.grid.views[view], canvas);
  const cells = kase.grid.cells[view];
  const of = (i) => (cells[i] < 0 ? -1 : votes[cells[i]]);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.lineCap = "square";
  fillCells(pen, grid, (i) => of(i) === 0, dark(NONE));
  fillCells(pen, grid, (i) => of(i) === 0, tile(pen, "/", deviceScale()));
  for (const count of new Set(votes)) {
    if (count === 0) continue;
    const at = 3 * Math.round((255 * count) / Math.max(1, most));
    const colour = [...COLOURS.slice(at, at + 3)].join(", ");
    fillCells(pen, grid, (i) => of(i) === count, `rgba(${colour}, ${VOTED})`);
  }
  const all = borders(
    grid,
    (i) => (of(i) === most ? 1 : 0),
    0,
    () => most > 0,
    deviceScale(),
  );
  stroke(pen, all, 2 * deviceScale(), KEPT_LINE);
  pointAt(pen, grid, cells, cursor, deviceScale());
}
