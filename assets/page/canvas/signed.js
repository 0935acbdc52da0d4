/**
 * Signed values over patches in diverging colours: orange speaks for an answer, blue and hatched
 * against it; and their colour bar. Knows nothing of where the values come from.
 */
import { write, node } from "../common/dom.js";
import { format } from "../common/format.js";
import { deviceScale, fillCells, gridOf, pointAt, tile } from "./brush.js";

const FOR = [230, 97, 1]; // orange and blue: told apart by all kinds of eyes
const AGAINST = [64, 120, 220];
const STRONGEST = 0.88; // opacity of the largest value
/** Read float32 numbers from base64. */
export const numbers = (text) =>
  new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);

/** A number with its sign. */
export const signed = (x) => (x > 0 ? `+${format.brief(x)}` : format.brief(x));

/** Draw values over one view: orange speaks for the answer, blue and hatched against it. */
export function drawSigned(canvas, kase, at, values, cursor = -1) {
  const cells = kase.grid.cells[at];
  const grid = gridOf(kase.grid.views[at], canvas);
  const pen = canvas.getContext("2d");
  const most = values.reduce((high, x) => Math.max(high, Math.abs(x)), 0) || 1;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  fillCells(pen, grid, () => true, "rgba(9,9,11,.45)");
  for (const [i, token] of cells.entries()) {
    const share = token < 0 ? 0 : values[token] / most;
    if (!share) continue;
    const colour = share > 0 ? FOR : AGAINST;
    fillCells(pen, grid, (c) => c === i, `rgba(${colour}, ${STRONGEST * Math.abs(share) ** 0.6})`);
  }
  const against = (i) => cells[i] >= 0 && values[cells[i]] < -0.05 * most;
  fillCells(pen, grid, against, tile(pen, "\\", deviceScale()));
  pointAt(pen, grid, cells, cursor, deviceScale());
}

/** The colour bar: against, nothing, for. */
export function signedBar() {
  const [low, high] = [node("span"), node("span")];
  const ramp = node("i", { class: "vt-signed" });
  const update = (values) => {
    const most = values.reduce((top, x) => Math.max(top, Math.abs(x)), 0);
    write(low, `against ${signed(-most)}`);
    write(high, `${signed(most)} for the answer`);
  };
  return { node: node("div", { class: "vt-bar" }, low, ramp, high), update };
}
