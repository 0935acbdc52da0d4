/**
 * The crops of a picture that the tower sees one by one, beside the whole picture: what is kept of
 * each at the budget that is shown, and how much of it a method like HiRED has allotted. Follows the
 * slider without asking anybody. Shown only where there are several views.
 */
import { deviceScale } from "../../canvas/brush.js";
import { drawOverlay } from "../../canvas/overlay.js";
import { layPicture, stageScene } from "../../canvas/picture_view.js";
import { mark, node, show, write } from "../../common/dom.js";
import { format } from "../../common/format.js";

/** From the lowest to the highest of some numbers, the second excluded. */
const span = (values) => [Math.min(...values), Math.max(...values) + 1];

/** Rows and columns of a crop's own tokens, and the part of the picture that they show. */
function cropOf({ grid }, tokens) {
  const at = (axis) => tokens.map((token) => grid.place[3 * token + axis]);
  const [top, bottom] = span(at(1));
  const [left, right] = span(at(2));
  const [rows, columns] = [bottom - top, right - left];
  const cells = new Int32Array(rows * columns).fill(-1);
  for (const token of tokens) {
    const [, row, column] = grid.place.slice(3 * token, 3 * token + 3);
    cells[(row - top) * columns + column - left] = token;
  }
  const edge = (side, pick) => pick(...tokens.map((token) => grid.boxes[4 * token + side]));
  const box = [edge(0, Math.min), edge(1, Math.min), edge(2, Math.max), edge(3, Math.max)];
  return { tokens, cells, view: { rows, columns, box }, top, left };
}

/**
 * The whole picture and its crops, in the order of their numbers; a crop that is all padding and
 * has lost its tokens is left out. [] with a single view.
 */
function cropsOf(kase) {
  kase.crops ??= (() => {
    const groups = new Map();
    kase.grid.crops.forEach((crop, token) => {
      if (crop < 0) return; // a newline
      if (!groups.has(crop)) groups.set(crop, []);
      groups.get(crop).push(token);
    });
    const known = [...groups].sort(([a], [b]) => a - b);
    return known.map(([number, tokens]) => ({ number, ...cropOf(kase, tokens) }));
  })();
  return kase.crops;
}

/**
 * What HiRED gives each crop of a budget: methods/hired.py's budgets, for one total. Single
 * precision, as there, so that shares are cut off at the same places.
 * @returns {?Map<number, number>} tokens by the number of a crop; null for other methods
 */
function allotted(kase, { method, final }) {
  if (!method.portions) return null;
  const sizes = new Map(cropsOf(kase).map(({ number, tokens }) => [number, tokens.length]));
  const size = (number) => sizes.get(number) ?? 0;
  const { whole, crops } = method.portions;
  const first = Math.min(Math.trunc(final * whole), size(0));
  const others = crops.reduce((sum, _, i) => sum + size(i + 1), 0);
  const left = Math.min(final - first, others);
  const cut = (share, i) => Math.min(Math.trunc(Math.fround(share * left)), size(i + 1));
  return new Map([first, ...crops.map(cut)].entries());
}

/** One crop: its part of the picture with the overlay, and its numbers. */
function cropCard(kase, crop) {
  const { picture } = kase;
  const { view, number, tokens } = crop;
  const image = node("img", { src: picture.src, alt: "" });
  const canvas = node("canvas", { role: "img" });
  const frame = node("div", { class: "vt-crop-picture" }, image, canvas);
  const words = node("figcaption");
  const allotment = node("figcaption", { class: "vt-crop-allotted" });
  const whole = node("figure", { class: "vt-crop", "data-crop": number }, frame, words, allotment);
  layPicture(image, frame, kase, view);
  const name = number ? `crop ${number}` : "whole picture";
  const update = (scene, allots) => {
    const scale = deviceScale();
    const [width, height] = [frame.clientWidth, frame.clientHeight].map((x) =>
      Math.round(x * scale),
    );
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    if (width && height) {
      drawOverlay(canvas, { ...scene, view, cells: crop.cells, cursor: -1 }, scale);
    }
    const kept = tokens.filter((token) => scene.fate[token] === 0).length;
    const of = `${format.count(kept)} / ${format.count(tokens.length)}`;
    write(words, of);
    const given = allots?.get(number);
    show(allotment, Boolean(allots));
    if (allots) write(allotment, `allotted ${format.count(given)}`);
    const extra = allots ? `, ${given} allotted` : "";
    mark(canvas, "aria-label", `${name}: ${kept} of ${tokens.length} tokens kept${extra}`);
    mark(whole, "data-kept", kept);
    mark(whole, "data-count", tokens.length);
    mark(whole, "data-allotted", allots ? given : null);
  };
  return { node: whole, update };
}

/** The whole picture at the left, the crops beside it as they lie on the picture. */
export function cropsPanel(store) {
  const title = node("span", { class: "vt-crops-title" });
  const first = node("div");
  const others = node("div", { class: "vt-crops-canvas" });
  const row = node("div", { class: "vt-crops-row" }, first, others);
  const whole = node("div", { class: "vt-crops", hidden: true }, title, row);
  let shown = null;
  let cards = [];

  const build = (kase) => {
    const crops = cropsOf(kase);
    cards = crops.map((crop) => cropCard(kase, crop));
    const canvas = crops.flatMap(({ number, left }, i) => (number ? [{ left, i }] : []));
    const across = new Set(canvas.map(({ left }) => left)).size;
    first.replaceChildren(...cards.filter((_, i) => !crops[i].number).map((card) => card.node));
    others.replaceChildren(...canvas.map(({ i }) => cards[i].node));
    others.style.setProperty("--vt-across", across);
  };

  const update = (state) => {
    const kase = state.case;
    const several = kase.grid.views.length > 1 && Boolean(kase.grid.crops);
    show(whole, several);
    if (!several) return;
    if (shown !== kase) {
      shown = kase;
      build(kase);
    }
    const scene = stageScene(store);
    const allots = allotted(kase, store.choice);
    const means = allots ? "kept / of each · what the method allots" : "kept / of each";
    write(title, `As the tower sees it: ${means}`);
    for (const card of cards) card.update(scene, allots);
  };
  new ResizeObserver(() => store.state.case && store.changed()).observe(row);
  return { node: whole, update };
}
