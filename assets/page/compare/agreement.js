/**
 * Agreement of all methods as one table (upper right: kept patches, lower left: scores) and the map
 * of disputed patches. Both are redrawn when the hand is calm, not in every frame. Knows choices;
 * nothing of answers and the server.
 */
import { COLOUR_RAMP } from "../canvas/brush.js";
import { patchPicture } from "../canvas/patch_picture.js";
import { drawVotes } from "../canvas/thumbnails.js";
import { mark, node, show, write } from "../common/dom.js";
import { tableButton } from "../common/download.js";
import { format } from "../common/format.js";
import { jaccard, keptBits, placesOf, spearman, votesOf } from "../common/measures.js";
import { scoreOf } from "../common/payload.js";

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

const STRONG = 0.75; // from here on a cell is so dark that its figure is white
const PALE = 0.55; // the most colour under a dark figure,
const DEEP = 0.94; // and the least under a white one: between them neither could be read

/** ".88", "−.12", "1", "·" where there is nothing to compare. */
function figure(value) {
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

/** The table. `onPick(keyA, keyB)` is called with the pair of a cell. */
function table(onPick) {
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
  let entries = [];

  function lay() {
    cells = entries.map(() => []);
    head.replaceChildren(
      node("td"),
      ...entries.map(({ method }, j) =>
        node(
          "th",
          { scope: "col", title: method.title, "aria-label": method.title },
          String(j + 1),
        ),
      ),
    );
    body.replaceChildren(
      ...entries.map(({ method }, i) => {
        const row = node(
          "tr",
          {},
          node(
            "th",
            { scope: "row", title: method.title },
            node("i", {}, String(i + 1)),
            method.title,
          ),
        );
        entries.forEach((_, j) => {
          const cell = node("td", { "data-at": `${i} ${j}`, tabindex: "-1" });
          if (i === j) mark(cell, "data-self", "");
          cells[i].push({ cell, text: null });
          row.append(cell);
        });
        return row;
      }),
    );
    at = at.map((x) => Math.min(x, entries.length - 1));
    if (cells.length) mark(cells[at[0]][at[1]].cell, "tabindex", "0");
    whole.style.setProperty("--vt-methods", entries.length);
  }

  const placeOf = (target) => target.closest("[data-at]")?.dataset.at.split(" ").map(Number);

  function move(i, j) {
    mark(cells[at[0]][at[1]].cell, "tabindex", "-1");
    at = [i, j];
    mark(cells[i][j].cell, "tabindex", "0");
    cells[i][j].cell.focus();
  }

  function pick([i, j]) {
    if (i !== j) onPick(entries[i].key, entries[j].key);
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
      Math.min(entries.length - 1, Math.max(0, x + ARROWS[key][axis])),
    );
    move(...next);
  });

  /** kept(i, j), scored(i, j): the two figures of a pair. */
  const update = (shown, pair, kept, scored) => {
    entries = shown;
    const keys = JSON.stringify(entries.map(({ key, method }) => [key, method.title]));
    if (keys !== laid) lay();
    laid = keys;
    entries.forEach(({ key }, i) => {
      entries.forEach(({ key: other }, j) => {
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

function pairInWords(a, b, jaccard, spearman) {
  const shared = Number.isNaN(jaccard)
    ? "one of them keeps no patch as it was"
    : `they share ${Math.round(100 * jaccard)} % of the patches that either keeps`;
  const scores = Number.isNaN(spearman)
    ? "one of them scores all patches alike"
    : `their scores agree with a rank correlation of ${figure(spearman)}`;
  return `${a.method.title} and ${b.method.title}: ${shared}; ${scores}.`;
}

/** The table with its explanation. */
export function agreementPanel(selection, onPick) {
  const line = node("p", { class: "vt-small vt-matrix-line", "aria-live": "polite" });
  const places = new Map(); // method -> its score as places
  const grid = table(onPick);
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-agreement" },
    node(
      "h2",
      {},
      "Who agrees with whom · press a cell to lay the two side by side",
      tableButton("agreement", () => pairs()),
    ),
    node(
      "p",
      { class: "vt-small vt-keys" },
      node("i", { class: "vt-swatch", "data-kind": "kept" }),
      "upper right: share of kept patches in common (Jaccard) ",
      node("i", { class: "vt-swatch", "data-kind": "score" }),
      "lower left: order of the scores (Spearman, −1 to 1)",
    ),
    node("div", { class: "vt-matrix-box" }, grid.node),
    line,
  );
  let entries = [];
  let bits = [];
  let measured = null;

  const kept = (i, j) => jaccard(bits[i], bits[j]);
  const scored = (i, j) => spearman(places.get(entries[i].method), places.get(entries[j].method));

  /** Every pair as a record. */
  const pairs = () =>
    entries.flatMap((a, i) =>
      entries.slice(i + 1).map((b, k) => ({
        a: a.key,
        b: b.key,
        jaccard: kept(i, i + 1 + k),
        spearman: scored(i, i + 1 + k),
      })),
    );

  function explain(event) {
    const place = grid.placeOf(event.target);
    if (!place || place[0] === place[1]) return;
    const [i, j] = place;
    write(line, pairInWords(entries[i], entries[j], kept(i, j), scored(i, j)));
  }
  grid.node.addEventListener("pointerover", explain);
  grid.node.addEventListener("focusin", explain);

  const update = (shown) => {
    const { case: kase, state } = selection;
    if (measured !== kase) places.clear();
    measured = kase;
    entries = shown;
    bits = entries.map(({ choice }) => keptBits(choice));
    for (const { method } of entries) {
      if (!places.has(method)) places.set(method, placesOf(scoreOf(method)));
    }
    grid.update(entries, state.pair, kept, scored);
    if (!line.textContent) write(line, "Point at a cell, or walk with the arrow keys.");
  };
  return { node: panel, update };
}

/** The map of disputed patches. */
export function disputePanel(selection) {
  let cursor = -1;
  let counted = [];
  let redraw = () => {};
  const picture = patchPicture({
    seen: () => ({ kase: selection.case, view: selection.store.state.view }),
    cursor: (token) => {
      cursor = token;
      redraw();
    },
  });
  const low = node("span", {}, "1");
  const high = node("span");
  const bar = node(
    "div",
    { class: "vt-bar" },
    low,
    node("i", { style: `background: ${COLOUR_RAMP}` }),
    high,
  );
  const line = node("p", { class: "vt-small vt-dispute-line", "aria-live": "polite" });
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-disputed" },
    node("h2", {}, "Disputed patches · how many methods keep each, baselines left out"),
    picture.node,
    bar,
    line,
  );

  function atInWords(kase, votes, most) {
    const [row, column] = kase.grid.place.slice(3 * cursor + 1, 3 * cursor + 3);
    const keepers = counted
      .filter(({ choice }) => choice.stages.at(-1).fate[cursor] === 0)
      .map(({ method }) => method.title);
    const names = keepers.length && keepers.length <= 6 ? `: ${keepers.join(", ")}` : "";
    return `Row ${row + 1}, column ${column + 1}: kept by ${votes[cursor]} of ${most}${names}.`;
  }

  function allInWords(votes, most) {
    let [all, none] = [0, 0];
    for (const count of votes) {
      all += count === most;
      none += count === 0;
    }
    const between = votes.length - all - none;
    return (
      `${format.count(all)} patches are kept by all ${most} methods, ${format.count(none)} by none; ` +
      `${format.count(between)} by some of them.`
    );
  }

  const update = (shown) => {
    counted = shown.filter(({ method }) => !method.baseline);
    const { case: kase } = selection;
    show(panel, counted.length > 0);
    if (!counted.length) return;
    const most = counted.length;
    const votes = votesOf(
      counted.map(({ choice }) => choice),
      kase.grid.n,
    );
    write(high, `${most} methods`);
    redraw = () => {
      picture.update(
        (canvas) =>
          drawVotes(canvas, kase, { votes, most }, { view: selection.store.state.view, cursor }),
        `How many methods keep each patch. ${allInWords(votes, most)} Arrow keys read single patches.`,
      );
      write(line, cursor >= 0 ? atInWords(kase, votes, most) : allInWords(votes, most));
    };
    redraw();
  };
  return { node: panel, update };
}
