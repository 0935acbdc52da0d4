/**
 * A map over the patches of the picture: numbers as colours, patches that nothing stands for dark
 * and hatched. Knows numbers and grids; not what they mean.
 */
import { COLOURS, DARK, deviceScale, fillCells, gridOf, pointAt, tile } from "../canvas/brush.js";
import { patchPicture } from "../canvas/patch_picture.js";
import { node, write } from "../common/dom.js";
import { format } from "../common/format.js";

const GONE = 65_535; // in place of a number: there is none
const STEPS = 65_534;
const OPACITY = 0.78;
const DIMMED = 0.77;

const read = new WeakMap();

/** Unpack {low, high, rows, steps} to rows of numbers, NaN for none. */
export function rowsOf(map) {
  if (!map) return [];
  if (!read.has(map)) {
    const bytes = Uint8Array.from(atob(map.steps), (letter) => letter.charCodeAt(0));
    const steps = new Uint16Array(bytes.buffer);
    const scale = (map.high - map.low) / STEPS;
    const values = Float32Array.from(steps, (x) => (x === GONE ? NaN : map.low + scale * x));
    const n = map.rows ? values.length / map.rows : 0;
    read.set(
      map,
      Array.from({ length: map.rows }, (_, i) => values.subarray(i * n, (i + 1) * n)),
    );
  }
  return read.get(map);
}

/** Lowest and highest of some rows; nothing counts as [0, 1]. */
export function rangeOf(rows, fromZero = true) {
  let [low, high] = [Infinity, -Infinity];
  for (const row of rows)
    for (const value of row) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  return high > -Infinity ? [fromZero ? Math.min(0, low) : low, high] : [0, 1];
}

const heat = document.createElement("canvas");

/** Paint numbers over one view; the root of a share is shown, so that small ones are seen. */
function paintMap(canvas, kase, view, values, [low, high], cursor) {
  const { rows, columns } = kase.grid.views[view];
  const cells = kase.grid.cells[view];
  const pen = canvas.getContext("2d");
  const grid = gridOf(kase.grid.views[view], canvas);
  Object.assign(heat, { width: columns, height: rows });
  const inner = heat.getContext("2d");
  const pixels = inner.createImageData(columns, rows);
  cells.forEach((token, i) => {
    if (token < 0) return;
    const value = values[token];
    const gone = !(value === value);
    const share = high > low ? (value - low) / (high - low) : 0;
    const at = 3 * Math.round(255 * Math.sqrt(Math.min(1, Math.max(0, share))));
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = gone ? DARK[c] : COLOURS[at + c];
    pixels.data[4 * i + 3] = 255 * (gone ? DIMMED : OPACITY);
  });
  inner.putImageData(pixels, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(heat, 0, 0, canvas.width, canvas.height);
  const is = (i) => cells[i] >= 0 && Number.isNaN(values[cells[i]]);
  fillCells(pen, grid, is, tile(pen, "/", deviceScale()));
  pen.lineCap = "square";
  pointAt(pen, grid, cells, cursor, deviceScale());
}

/** Where a token lies, in words. */
function placeInWords(kase, token) {
  const [, row, column] = kase.grid.place.slice(3 * token, 3 * token + 3);
  return `row ${row + 1}, column ${column + 1}`;
}

/**
 * A titled picture with a map over it, and a line about the patch that is pointed at.
 * @param {InsideSelection} selection whose view and cursor it shares
 */
export function mapPicture(selection, id) {
  const title = node("p", { class: "vt-top", id: `${id}-title` });
  const line = node("p", { class: "vt-line", id: `${id}-line` });
  const picture = patchPicture({
    seen: () => ({ kase: selection.case, view: selection.state.view }),
    cursor: (cursor) => selection.set({ cursor }),
  });
  const whole = node("div", { class: "vt-inside-picture", id }, title, picture.node, line);

  /**
   * values: of the N patches, or null where there are none: then the picture stands as it is, and
   * `none` says why. `say(value)` puts one into words.
   */
  const update = ({ name, values, range, say, none }) => {
    const { case: kase, state } = selection;
    const { view, cursor } = state;
    write(title, name);
    const label = `${name}. ${values ? "Arrow keys read single patches." : none}`;
    const paint = (canvas) =>
      values
        ? paintMap(canvas, kase, view, values, range, cursor)
        : canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    picture.update(paint, label);
    const value = values && cursor >= 0 ? values[cursor] : NaN;
    const pointed = Number.isNaN(value) ? "nothing there" : say(value);
    const strongest = say(range[1]);
    const words = cursor >= 0 ? `${placeInWords(kase, cursor)} · ${pointed}` : `brightest: ${strongest}`;
    write(line, values ? words : none);
  };
  return { node: whole, update };
}

export const percent = (x) => `${format.brief(100 * x)} %`;
