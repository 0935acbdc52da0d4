/**
 * Draws what a method keeps over one view of the picture: colours of the scores, dropped patches
 * dark and hatched, padding hatched the other way, merged patches dotted and outlined by group, one
 * contour round what is kept. Knows nothing of methods, budgets or the server.
 *
 * @typedef {Object} Scene
 * @property {{rows: number, columns: number}} view
 * @property {Int32Array} cells token of each cell of the view, row by row, -1 for none
 * @property {Uint8Array} padded 1 for tokens that lie outside the uploaded picture
 * @property {Int16Array} fate -1 dropped, 0 kept, g >= 1 folded into merged token g
 * @property {Int16Array} [groups] the merged token that each is part of, also at whose place it is
 * @property {Object} scores {score, rank, low, high, alive}
 * @property {"both"|"score"|"kept"} mode
 * @property {"rank"|"linear"} colouring
 * @property {number} opacity
 * @property {number} cursor token to point at, -1 for none
 * @property {number} [stride] every how many rows and columns a patch is of a grid that stays
 */
import {
  COLOURS,
  DARK,
  KEPT_LINE,
  borders,
  fillCells,
  gridOf,
  pointAt,
  stroke,
  tile,
} from "./brush.js";

const DROPPED = 0.77;
const FOLDED = 0.52;
const TINT = 0.5; // of the opacity, over kept patches
const FLAT = 128; // the colour of scores that are all the same
const GROUP_LINE = "#67e8f9";

const GRID_LINE = "rgba(255, 255, 255, .85)";

const levelsOf = new WeakMap();

/** Place of each token on the colour map, 0 to 255, or 256 where it has no score. */
function levels(scores, colouring) {
  const made = levelsOf.get(scores) ?? {};
  levelsOf.set(scores, made);
  made[colouring] ??= Uint16Array.from(scores.score, (value, token) => {
    if (Number.isNaN(value) || scores.rank[token] < 0) return 256;
    if (scores.high === scores.low) return FLAT;
    if (colouring === "rank") return 255 * (1 - scores.rank[token] / Math.max(1, scores.alive - 1));
    return (255 * (value - scores.low)) / (scores.high - scores.low || 1);
  });
  return made[colouring];
}

/** What a cell looks like: 0 kept, 1 folded, 2 dropped, 3 nothing there. */
function looks({ cells, fate, scores, mode }) {
  return Uint8Array.from(cells, (token) => {
    if (token < 0) return 3;
    if (mode === "score") return fate[token] < 0 && scores.rank[token] < 0 ? 2 : 0;
    return fate[token] === 0 ? 0 : fate[token] > 0 ? 1 : 2;
  });
}

const heat = document.createElement("canvas");

function paintHeat(pen, scene, look, width, height) {
  const { rows, columns } = scene.view;
  if (heat.width !== columns) heat.width = columns;
  if (heat.height !== rows) heat.height = rows;
  const inner = heat.getContext("2d");
  const pixels = inner.createImageData(columns, rows);
  const level = levels(scene.scores, scene.colouring);
  const tint = { both: TINT * scene.opacity, score: scene.opacity, kept: 0 }[scene.mode];
  for (let i = 0; i < look.length; i++) {
    if (look[i] === 3) continue;
    const clear = look[i] === 0 && level[scene.cells[i]] < 256;
    const colour = clear ? 3 * level[scene.cells[i]] : -1;
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = clear ? COLOURS[colour + c] : DARK[c];
    pixels.data[4 * i + 3] =
      255 * (look[i] === 0 ? (clear ? tint : 0) : look[i] === 1 ? FOLDED : DROPPED);
  }
  inner.putImageData(pixels, 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(heat, 0, 0, width, height);
}

function drawGroups(pen, scene, grid, scale) {
  const { cells, fate, groups = fate, cursor } = scene;
  const group = (i) => (cells[i] >= 0 && groups[cells[i]] > 0 ? groups[cells[i]] : 0);
  const inset = 0.5 * scale;
  const all = borders(grid, group, 0, (a, b) => a + b > 0, inset);
  stroke(pen, all, scale, "rgba(103,232,249,.45)");
  const pointed = cursor >= 0 ? groups[cursor] : 0;
  if (pointed < 1) return;
  const member = (i) => (group(i) === pointed ? 1 : 0);
  fillCells(pen, grid, member, "rgba(103,232,249,.38)");
  stroke(
    pen,
    borders(grid, member, 0, () => true, inset),
    2 * scale,
    GROUP_LINE,
  );
}

/** Outline the patches of an even grid, whatever became of them. */
function drawStride(pen, { cells, view, stride }, grid, scale) {
  const lines = new Path2D();
  for (let row = 0; row < view.rows; row += stride) {
    for (let column = 0; column < view.columns; column += stride) {
      if (cells[row * view.columns + column] < 0) continue;
      const [x, y] = [grid.x[column] + 3 * scale, grid.y[row] + 3 * scale];
      lines.rect(x, y, grid.x[column + 1] - x - 3 * scale, grid.y[row + 1] - y - 3 * scale);
    }
  }
  stroke(pen, lines, scale, GRID_LINE);
}

/**
 * Draw a scene on a canvas whose size in device pixels is already right.
 * @param {HTMLCanvasElement} canvas
 * @param {Scene} scene
 * @param {number} scale device pixels per CSS pixel
 */
export function drawOverlay(canvas, scene, scale) {
  const { width, height } = canvas;
  const { cells, padded } = scene;
  const pen = canvas.getContext("2d");
  const look = looks(scene);
  const grid = gridOf(scene.view, canvas);
  const outside = (i) => cells[i] >= 0 && padded[cells[i]] === 1;
  pen.clearRect(0, 0, width, height);
  pen.lineCap = "square";
  paintHeat(pen, scene, look, width, height);
  fillCells(pen, grid, (i) => look[i] === 2 && !outside(i), tile(pen, "/", scale));
  fillCells(pen, grid, (i) => look[i] === 1, tile(pen, ".", scale));
  fillCells(pen, grid, outside, tile(pen, "\\", scale));
  if (scene.mode !== "score") {
    drawGroups(pen, scene, grid, scale);
    const kept = (i) => (look[i] === 0 ? 1 : 0);
    stroke(
      pen,
      borders(grid, kept, 0, () => true, scale),
      2 * scale,
      KEPT_LINE,
    );
  }
  if (scene.stride && scene.mode !== "score") drawStride(pen, scene, grid, scale);
  pointAt(pen, grid, cells, scene.cursor, scale);
}
