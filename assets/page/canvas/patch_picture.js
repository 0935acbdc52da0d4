/**
 * A large picture whose patches can be pointed at, by mouse, finger or arrow keys. What is drawn over
 * it is given by whoever uses it.
 */
import { mark, node } from "../common/dom.js";
import { pictureLayers } from "./thumbnails.js";

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** The token that a key leads to. */
function step(kase, view, from, key) {
  const { rows, columns } = kase.grid.views[view];
  const cells = kase.grid.cells[view];
  const at = cells.indexOf(from);
  if (at < 0) return cells.find((token) => token >= 0) ?? -1;
  const [down, right] = ARROWS[key];
  const row = Math.min(rows - 1, Math.max(0, Math.floor(at / columns) + down));
  const column = Math.min(columns - 1, Math.max(0, (at % columns) + right));
  const token = cells[row * columns + column];
  return token >= 0 ? token : from;
}

/** The token under a pointer. */
function tokenAt(kase, view, box, event) {
  const { rows, columns } = kase.grid.views[view];
  const share = (at, start, size, many) =>
    Math.min(many - 1, Math.max(0, Math.floor((many * (at - start)) / size)));
  const row = share(event.clientY, box.top, box.height, rows);
  const column = share(event.clientX, box.left, box.width, columns);
  return kase.grid.cells[view][row * columns + column];
}

/**
 * A large picture whose patches can be pointed at, by mouse, finger or arrow keys.
 * @param {{seen: function, cursor: function}} hooks seen() gives {kase, view}; cursor(token) is
 *   told what is pointed at, -1 for nothing
 */
export function patchPicture(hooks) {
  const { under: base, over, ready } = pictureLayers(() => resized());
  const frame = node("div", { class: "vt-large", role: "application", tabindex: "0" }, base, over);
  let cursor = -1;
  let resized = () => {};

  const point = (token) => {
    if (token === cursor) return;
    cursor = token;
    hooks.cursor(token);
  };
  const follow = (event) => {
    const { kase, view } = hooks.seen();
    point(tokenAt(kase, view, frame.getBoundingClientRect(), event));
  };
  frame.addEventListener("pointermove", follow);
  frame.addEventListener("pointerdown", follow);
  frame.addEventListener("pointerleave", () => point(-1));
  frame.addEventListener("blur", () => point(-1));
  frame.addEventListener("keydown", (event) => {
    if (event.key === "Escape") point(-1);
    if (!(event.key in ARROWS)) return;
    event.preventDefault();
    const { kase, view } = hooks.seen();
    point(step(kase, view, cursor, event.key));
  });
  /** Draw with `paint(canvas)`, now and when the size changes. */
  const update = (paint, label) => {
    const { kase, view } = hooks.seen();
    const [x0, y0, x1, y1] = kase.grid.views[view].box;
    frame.style.setProperty("--vt-aspect", (x1 - x0) / (y1 - y0));
    mark(frame, "aria-label", label);
    const draw = () => {
      if (ready(kase, view)) paint(over);
    };
    resized = draw;
    draw();
  };
  return { node: frame, update };
}
