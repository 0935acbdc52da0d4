/**
 * Painting patches on the page's picture, by mouse, finger, or arrow keys and the space bar. What is
 * painted belongs to the lesson; nothing is asked of anybody while a hand paints.
 */
import { borders, deviceScale, fillCells, gridOf, stroke } from "../../canvas/brush.js";
import { node, show } from "../../common/dom.js";

const PAINT = "rgba(129,140,248,.5)";
const EDGE = "#c7d2fe";
const LINES = "rgba(255,255,255,.55)";

/**
 * Lay a canvas over the picture.
 * @param {Store} store
 * @param {LessonPlayer} player
 */
export function patchBrush(store, player) {
  const frame = document.querySelector("#vt-view");
  const canvas = node("canvas", { class: "vt-brush", "aria-hidden": "true", hidden: true });
  frame.append(canvas);
  let value = null; // what the stroke does: true paints, false wipes; null: no stroke

  const isPainting = () => player.waits && player.step.guess.kind === "patches" && player.isReady;

  function tokenAt({ clientX, clientY }) {
    const { case: open, view } = store.state;
    const { rows, columns } = open.grid.views[view];
    const { left, top, width, height } = frame.getBoundingClientRect();
    const cut = (share, many) => Math.min(many - 1, Math.max(0, Math.floor(share * many)));
    const row = cut((clientY - top) / height, rows);
    return open.grid.cells[view][row * columns + cut((clientX - left) / width, columns)];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!isPainting()) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    const token = tokenAt(event);
    value = !player.painted.has(token);
    if (token >= 0) player.paint([token], value);
  });
  canvas.addEventListener("pointermove", (event) => {
    const token = value === null ? -1 : tokenAt(event);
    if (token >= 0 && player.painted.has(token) !== value) player.paint([token], value);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => (value = null));
  }
  frame.addEventListener("keydown", (event) => {
    const { cursor } = store.state;
    if (event.key !== " " || !isPainting() || cursor < 0) return;
    event.preventDefault();
    player.paint([cursor], !player.painted.has(cursor));
  });

  function draw(cells, view) {
    const scale = deviceScale();
    const width = Math.round(frame.clientWidth * scale);
    const height = Math.round(frame.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    const grid = gridOf(view, canvas);
    const each = borders(grid, (i) => i, -1, () => true, 0);
    stroke(pen, each, scale, LINES);
    const { said = player.painted } = player.guessed ?? {};
    const mine = new Set(Array.isArray(said) ? said : player.painted);
    const is = (i) => (mine.has(cells[i]) ? 1 : 0);
    if (isPainting()) fillCells(pen, grid, is, PAINT);
    stroke(pen, borders(grid, is, 0, () => true, scale), 2 * scale, EDGE);
  }

  /** Show the grid, what is painted, or the edge of what was guessed. */
  const update = () => {
    const { case: open, view } = store.state;
    const { guess, show: shown } = player.step ?? {};
    const seen = Boolean(shown?.grid || guess?.kind === "patches") && player.isReady;
    show(canvas, seen);
    canvas.style.pointerEvents = isPainting() ? "auto" : "none";
    if (seen) draw(open.grid.cells[view], open.grid.views[view]);
  };
  const remove = () => canvas.remove();
  return { update, remove };
}
