/**
 * Agreement of all methods as one table (upper right: kept patches, lower left: scores), of their
 * groups where the figures of all of them don't fit, and the map of disputed patches. Both are
 * redrawn when the hand is calm, not in every frame. Knows choices; nothing of answers and the server.
 */
import { COLOUR_RAMP } from "../canvas/brush.js";
import { patchPicture } from "../canvas/patch_picture.js";
import { drawVotes } from "../canvas/thumbnails.js";
import { mark, node, segments, show, withTerms, write } from "../common/dom.js";
import { tableButton } from "../common/download.js";
import { format } from "../common/format.js";
import { jaccard, keptBits, placesOf, spearman, votesOf } from "../common/measures.js";
import { scoreOf } from "../common/payload.js";
import { figure, matrix } from "./matrix.js";

const NAMES = 150; // pixels of the names beside the rows,
const CELL = 24; // and of a figure that can be read
const VIEWS = [
  ["groups", "Groups", "The mean over all pairs of two groups"],
  ["methods", "Methods", "Every method with every other"],
];

const meanOf = (values) => {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : NaN;
};

/** Methods by what their score is computed from: rows of the table of groups. */
function groupsOf(entries) {
  const groups = new Map();
  entries.forEach(({ method: { group } }, i) => {
    if (!groups.has(group)) groups.set(group, { key: group, title: group, members: [] });
    groups.get(group).members.push(i);
  });
  return [...groups.values()];
}

function pairInWords(a, b, jaccard, spearman) {
  const shared = Number.isNaN(jaccard)
    ? "one of them keeps no patch as it was"
    : `they share ${Math.round(100 * jaccard)} % of the patches that either keeps`;
  const scores = Number.isNaN(spearman)
    ? "one of them scores all patches alike"
    : `their scores agree with a rank correlation of ${figure(spearman)}`;
  return `${a.title} and ${b.title}: ${shared}; ${scores}.`;
}

/** The table with its explanation. */
export function agreementPanel(selection, onPick) {
  const line = node("p", { class: "vt-small vt-matrix-line", "aria-live": "polite" });
  const places = new Map(); // method -> its score as places
  const views = segments("Rows of the table", VIEWS, (view) => {
    wanted = view;
    draw();
  });
  const grid = matrix((i, j) => onPick(...pairOf(rows[i], rows[j])));
  const box = node("div", { class: "vt-matrix-box" }, grid.node);
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
      views.group,
      node("i", { class: "vt-swatch", "data-kind": "kept" }),
      ...withTerms("upper right: share of kept patches in common ([Jaccard](jaccard)) "),
      node("i", { class: "vt-swatch", "data-kind": "score" }),
      ...withTerms("lower left: order of the scores ([Spearman](spearman), −1 to 1)"),
    ),
    box,
    line,
  );
  let wanted = null; // the view that was chosen; null: whatever fits
  let entries = [];
  let rows = [];
  let bits = [];
  let measured = null;

  const kept = (i, j) => jaccard(bits[i], bits[j]);
  const scored = (i, j) => spearman(places.get(entries[i].method), places.get(entries[j].method));
  /** The mean of a figure over all pairs of methods of two rows. */
  const between = (value) => (i, j) =>
    meanOf(rows[i].members.flatMap((a) => rows[j].members.map((b) => value(a, b))));

  /** The two methods of a cell; of two groups, those that keep most in common. */
  function pairOf(a, b) {
    const all = a.members.flatMap((i) => b.members.map((j) => [i, j, kept(i, j) || 0]));
    const [i, j] = all.reduce((best, pair) => (pair[2] > best[2] ? pair : best));
    return [entries[i].key, entries[j].key];
  }

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
    const figures = [between(kept)(i, j), between(scored)(i, j)];
    write(line, pairInWords(rows[i], rows[j], ...figures));
  }
  grid.node.addEventListener("pointerover", explain);
  grid.node.addEventListener("focusin", explain);

  function draw() {
    const fits = NAMES + CELL * entries.length <= box.clientWidth;
    const view = wanted ?? (fits ? "methods" : "groups");
    const each = ({ key, method }, i) => ({ key, title: method.title, members: [i] });
    rows = view === "methods" ? entries.map(each) : groupsOf(entries);
    views.press(view);
    grid.update(rows, selection.state.pair, between(kept), between(scored));
  }
  new ResizeObserver(() => entries.length && draw()).observe(box);

  const update = (shown) => {
    const { case: kase } = selection;
    if (measured !== kase) places.clear();
    measured = kase;
    entries = shown;
    bits = entries.map(({ choice }) => keptBits(choice));
    for (const { method } of entries) {
      if (!places.has(method)) places.set(method, placesOf(scoreOf(method)));
    }
    draw();
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
