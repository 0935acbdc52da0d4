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
 * @property {Object} scores {score, rank, low, high, alive}
 * @property {"both"|"score"|"kept"} mode
 * @property {"rank"|"linear"} colouring
 * @property {number} opacity
 * @property {number} cursor token to point at, -1 for none
 */

const STOPS = [
  [0, 34, 78],
  [67, 78, 108],
  [125, 124, 120],
  [188, 175, 111],
  [254, 232, 56],
];
const DARK = [9, 9, 11];
const DROPPED = 0.77;
const FOLDED = 0.52;
const TINT = 0.5; // of the opacity, over kept patches
const FLAT = 128; // the colour of scores that are all the same
const KEPT_LINE = "#fee838";
const GROUP_LINE = "#67e8f9";
const HATCH = 8; // CSS pixels between two lines

const COLOURS = Uint8Array.from({ length: 768 }, (_, i) => {
  const at = (Math.floor(i / 3) / 255) * 4;
  const stop = Math.min(3, Math.floor(at));
  const [from, to] = [STOPS[stop][i % 3], STOPS[stop + 1][i % 3]];
  return from + (to - from) * (at - stop);
});

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

const tiles = new Map();

/** A small square that repeats: "/" or "\" lines, or dots. */
function tile(pen, kind, scale) {
  const name = `${kind}${scale}`;
  if (!tiles.has(name)) {
    const size = Math.round(HATCH * scale);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = size;
    const ink = canvas.getContext("2d");
    if (kind === "\\") ink.setTransform(-1, 0, 0, 1, size, 0);
    ink.strokeStyle = kind === "\\" ? "rgba(255,255,255,.28)" : "rgba(255,255,255,.17)";
    ink.fillStyle = "rgba(255,255,255,.5)";
    ink.lineWidth = scale;
    ink.beginPath();
    if (kind === ".") {
      ink.arc(size / 2, size / 2, 0.9 * scale, 0, 7);
      ink.fill();
    } else {
      for (const shift of [-size, 0, size]) {
        ink.moveTo(shift - 1, size + 1);
        ink.lineTo(shift + size + 1, -1);
      }
      ink.stroke();
    }
    tiles.set(name, pen.createPattern(canvas, "repeat"));
  }
  return tiles.get(name);
}

/** Fill every cell that passes, joining neighbours in a row into one rectangle. */
function fillCells(pen, grid, passes, style) {
  const { x, y, rows, columns } = grid;
  pen.beginPath();
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      if (!passes(r * columns + c)) continue;
      const start = c;
      while (c + 1 < columns && passes(r * columns + c + 1)) c++;
      pen.rect(x[start], y[r], x[c + 1] - x[start], y[r + 1] - y[r]);
    }
  }
  pen.fillStyle = style;
  pen.fill();
}

/** Lines where two neighbours differ; `value` gives a cell's value, `edge` the outside's. */
function borders(grid, value, edge, draws, inset) {
  const { x, y, rows, columns } = grid;
  const path = new Path2D();
  const at = (r, c) =>
    r < 0 || c < 0 || r >= rows || c >= columns ? edge : value(r * columns + c);
  const differ = (a, b) => a !== b && draws(a, b);
  const keepIn = (v, end) => Math.min(end - inset, Math.max(inset, v));
  for (let r = 0; r <= rows; r++) {
    for (let c = 0; c < columns; c++) {
      if (!differ(at(r - 1, c), at(r, c))) continue;
      const start = c;
      while (c + 1 < columns && differ(at(r - 1, c + 1), at(r, c + 1))) c++;
      path.moveTo(keepIn(x[start], x[columns]), keepIn(y[r], y[rows]));
      path.lineTo(keepIn(x[c + 1], x[columns]), keepIn(y[r], y[rows]));
    }
  }
  for (let c = 0; c <= columns; c++) {
    for (let r = 0; r < rows; r++) {
      if (!differ(at(r, c - 1), at(r, c))) continue;
      const start = r;
      while (r + 1 < rows && differ(at(r + 1, c - 1), at(r + 1, c))) r++;
      path.moveTo(keepIn(x[c], x[columns]), keepIn(y[start], y[rows]));
      path.lineTo(keepIn(x[c], x[columns]), keepIn(y[r + 1], y[rows]));
    }
  }
  return path;
}

function stroke(pen, path, width, colour) {
  pen.lineWidth = width;
  pen.strokeStyle = colour;
  pen.stroke(path);
}

function drawGroups(pen, scene, grid, scale) {
  const { cells, fate, cursor } = scene;
  const group = (i) => (cells[i] >= 0 && fate[cells[i]] > 0 ? fate[cells[i]] : 0);
  const inset = 0.5 * scale;
  const all = borders(grid, group, 0, (a, b) => a + b > 0, inset);
  stroke(pen, all, scale, "rgba(103,232,249,.45)");
  const pointed = cursor >= 0 ? fate[cursor] : 0;
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

function drawCursor(pen, scene, grid, scale) {
  const cell = scene.cells.indexOf(scene.cursor);
  if (scene.cursor < 0 || cell < 0) return;
  const only = borders(
    grid,
    (i) => (i === cell ? 1 : 0),
    0,
    () => true,
    1.5 * scale,
  );
  stroke(pen, only, 4 * scale, "rgba(0,0,0,.75)");
  stroke(pen, only, 2 * scale, "#fff");
}

/**
 * Draw a scene on a canvas whose size in device pixels is already right.
 * @param {HTMLCanvasElement} canvas
 * @param {Scene} scene
 * @param {number} scale device pixels per CSS pixel
 */
export function drawOverlay(canvas, scene, scale) {
  const { width, height } = canvas;
  const { rows, columns } = scene.view;
  const { cells, padded } = scene;
  const pen = canvas.getContext("2d");
  const look = looks(scene);
  const x = Array.from({ length: columns + 1 }, (_, c) => Math.round((c * width) / columns));
  const y = Array.from({ length: rows + 1 }, (_, r) => Math.round((r * height) / rows));
  const grid = { x, y, rows, columns };
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
  drawCursor(pen, scene, grid, scale);
}

/** What other drawings over patches are made with. */
export const brush = {
  colours: COLOURS,
  dark: DARK,
  keptLine: KEPT_LINE,
  tile,
  fillCells,
  borders,
  stroke,
};

/** The colour map as a CSS gradient, low to high. */
export const COLOUR_RAMP = `linear-gradient(90deg, ${STOPS.map((rgb) => `rgb(${rgb})`).join(", ")})`;
