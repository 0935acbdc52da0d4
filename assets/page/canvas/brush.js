/**
 * What drawings over patches are made with: colours, patterns, cells and the lines between them.
 * Knows grids of cells; nothing of scores and of what is kept.
 *
 * @typedef {{x: number[], y: number[], rows: number, columns: number}} Grid edges of the cells in
 *   device pixels
 */
const SHARPEST = 2; // device pixels per CSS pixel that are worth drawing
const STOPS = [
  [0, 34, 78],
  [67, 78, 108],
  [125, 124, 120],
  [188, 175, 111],
  [254, 232, 56],
];
export const DARK = [9, 9, 11];
export const KEPT_LINE = "#fee838";
const HATCH = 8; // CSS pixels between two lines

/** The colour map, 256 times red, green and blue, low to high. */
export const COLOURS = Uint8Array.from({ length: 768 }, (_, i) => {
  const at = (Math.floor(i / 3) / 255) * 4;
  const stop = Math.min(3, Math.floor(at));
  const [from, to] = [STOPS[stop][i % 3], STOPS[stop + 1][i % 3]];
  return from + (to - from) * (at - stop);
});

/** The colour map as a CSS gradient, low to high. */
export const COLOUR_RAMP = `linear-gradient(90deg, ${STOPS.map((rgb) => `rgb(${rgb})`).join(", ")})`;

/** Device pixels per CSS pixel in which to draw. */
export const deviceScale = () => Math.min(SHARPEST, window.devicePixelRatio || 1);

/** The grid of a view on a canvas. */
export function gridOf({ rows, columns }, { width, height }) {
  const cut = (many, size) =>
    Array.from({ length: many + 1 }, (_, i) => Math.round((i * size) / many));
  return { x: cut(columns, width), y: cut(rows, height), rows, columns };
}

const tiles = new Map();

/** A small square that repeats: "/" or "\" lines, or dots. */
export function tile(pen, kind, scale) {
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
export function fillCells(pen, grid, passes, style) {
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
export function borders(grid, value, edge, draws, inset) {
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

export function stroke(pen, path, width, colour) {
  pen.lineWidth = width;
  pen.strokeStyle = colour;
  pen.stroke(path);
}

/** Frame the cell of a token; -1 for none. */
export function pointAt(pen, grid, cells, token, scale) {
  const cell = cells.indexOf(token);
  if (token < 0 || cell < 0) return;
  const is = (i) => (i === cell ? 1 : 0);
  const frame = borders(grid, is, 0, () => true, 1.5 * scale);
  stroke(pen, frame, 4 * scale, "rgba(0,0,0,.75)");
  stroke(pen, frame, 2 * scale, "#fff");
}
