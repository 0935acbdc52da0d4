/**
 * A table of every pair of rows with one figure above the diagonal and another below, walked through
 * with the arrow keys. Knows rows and figures; not what they measure.
 */
import { mark, node } from "../common/dom.js";

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

const NAMED = 12; // rows up to which names stand over the columns
const STRONG = 0.75; // from here on a cell is so dark that its figure is white
const PALE = 0.55; // the most colour under a dark figure,
const DEEP = 0.94; // and the least under a white one: between them neither could be read

/** ".88", "−.12", "1", "·" where there is nothing to compare. */
export function figure(value) {
  if (Number.isNaN(value)) return "·";
  const digits = Math.round(100 * Math.abs(value));
  const sign = value < 0 && digits ? "−" : "";
  return sign + (digits === 100 ? "1" : `.${String(digits).padStart(2, "0")}`);
}

/** How much colour a cell of this value has, 0 to 1. */
function colourOf(value) {
  const size = Number.isNaN(value) ? 0 : Math.abs(value);
  if (size <= STRONG) return (PALE * size) / STRONG;
  return DEEP + ((1 - DEEP) * (size - STRONG)) / (1 - STRONG);
}

/**
 * The table. `onPick(i, j)` is called with the rows of a pressed cell.
 * Rows are {key, title}; few of them have their names over the columns, many have numbers.
 */
export function matrix(onPick) {
  const body = node("tbody");
  const head = node("tr");
  const whole = node(
    "table",
    { class: "vt-matrix", role: "grid", "aria-label": "Agreement of all methods" },
    node("thead", {}, head),
    body,
  );
  let cells = [];
  let laid = "";
  let at = [0, 1];
  let rows = [];

  function lay() {
    const few = rows.length <= NAMED;
    mark(whole, "data-few", few ? "" : null);
    cells = rows.map(() => []);
    head.replaceChildren(
      node("td"),
      ...rows.map(({ title }, j) =>
        node("th", { scope: "col", title, "aria-label": title }, few ? title : String(j + 1)),
      ),
    );
    body.replaceChildren(
      ...rows.map(({ title }, i) => {
        const number = few ? [] : [node("i", {}, String(i + 1))];
        const row = node("tr", {}, node("th", { scope: "row", title }, ...number, title));
        rows.forEach((_, j) => {
          const cell = node("td", { "data-at": `${i} ${j}`, tabindex: "-1" });
          if (i === j) mark(cell, "data-self", "");
          cells[i].push({ cell, text: null });
          row.append(cell);
        });
        return row;
      }),
    );
    at = at.map((x) => Math.min(x, rows.length - 1));
    if (cells.length) mark(cells[at[0]][at[1]].cell, "tabindex", "0");
    whole.style.setProperty("--vt-methods", rows.length);
  }

  const placeOf = (target) => target.closest("[data-at]")?.dataset.at.split(" ").map(Number);

  function move(i, j) {
    mark(cells[at[0]][at[1]].cell, "tabindex", "-1");
    at = [i, j];
    mark(cells[i][j].cell, "tabindex", "0");
    cells[i][j].cell.focus();
  }

  function pick([i, j]) {
    if (i !== j) onPick(i, j);
  }

  whole.addEventListener("click", (event) => {
    const place = placeOf(event.target);
    if (!place) return;
    move(...place);
    pick(place);
  });
  whole.addEventListener("keydown", (event) => {
    const place = placeOf(event.target);
    if (!place) return;
    const { key } = event;
    if (key === "Enter" || key === " ") pick(place);
    else if (!(key in ARROWS)) return;
    event.preventDefault();
    if (!(key in ARROWS)) return;
    const next = place.map((x, axis) =>
      Math.min(rows.length - 1, Math.max(0, x + ARROWS[key][axis])),
    );
    move(...next);
  });

  /** kept(i, j), scored(i, j): the two figures of a pair. */
  const update = (shown, pair, kept, scored) => {
    rows = shown;
    const keys = JSON.stringify(rows.map(({ key, title }) => [key, title]));
    if (keys !== laid) lay();
    laid = keys;
    rows.forEach(({ key }, i) => {
      rows.forEach(({ key: other }, j) => {
        if (i === j) return;
        const value = i < j ? kept(i, j) : scored(i, j);
        const text = figure(value);
        const known = cells[i][j];
        const chosen = pair.includes(key) && pair.includes(other);
        mark(known.cell, "aria-selected", chosen ? "true" : null);
        if (known.text === text) return;
        known.text = text;
        known.cell.textContent = text;
        known.cell.style.setProperty("--v", colourOf(value).toFixed(3));
        mark(known.cell, "data-kind", i < j ? "kept" : "score");
        mark(known.cell, "data-strong", Math.abs(value) > STRONG ? "" : null);
        mark(known.cell, "data-opposed", value < 0 && text !== ".00" ? "" : null);
      });
    });
  };
  return { node: whole, update, placeOf };
}
