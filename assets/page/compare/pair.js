/**
 * Two methods large, side by side, and between what they keep and don't keep a map of the
 * difference. Knows two choices and two answers; nothing of the other methods.
 */
import { patchPicture } from "../canvas/patch_picture.js";
import { drawDifference, drawKept } from "../canvas/thumbnails.js";
import { openTab } from "../common/bridge.js";
import { mark, node, show, write } from "../common/dom.js";
import { format } from "../common/format.js";
import { groupedOptions } from "../common/grouping.js";
import { jaccard, keptBits, overlap } from "../common/measures.js";

const LETTERS = ["A", "B"];

/** One of the two: chooser, picture, answer. */
function side(selection, i) {
  const select = node("select", { "aria-label": `Method ${LETTERS[i]}` });
  const open = node("button", { type: "button", class: "vt-ask" }, "Explore");
  const says = node("p", { class: "vt-small" });
  const { seen, cursor } = hooks(selection);
  const picture = patchPicture({ seen, cursor });
  let offered = null;
  select.addEventListener("change", () => {
    const pair = [...selection.state.pair];
    pair[i] = select.value;
    selection.set({ pair });
  });
  open.addEventListener("click", () => {
    const key = selection.state.pair[i];
    selection.store.chooseMethod(key);
    selection.store.moveBudget(selection.state.budget);
    openTab("Explore");
  });
  mark(open, "title", "Show this method in the tab Explore");

  const update = (entry, methods) => {
    if (offered !== methods) {
      select.replaceChildren(...groupedOptions(methods));
      offered = methods;
    }
    if (select.value !== entry.key) select.value = entry.key;
    const { kase, view } = seen();
    const { choice, answer } = entry;
    const { kept } = choice.stages.at(-1).tally;
    picture.update(
      (canvas) =>
        drawKept(canvas, kase, choice, {
          view,
          mode: "both",
          cursor: selection.state.cursor,
        }),
      `${entry.method.title}: ${format.count(kept)} of ${format.count(kase.grid.n)} patches kept. ` +
        "Arrow keys read single patches.",
    );
    const said = answer ? `“${answer.text}”` : "no answer yet";
    const same = answer?.same === true ? ", = full" : answer?.same === false ? ", ≠ full" : "";
    const p = entry.likelihood === null ? "" : ` · ${format.chance(entry.likelihood)}`;
    const tokens = `${format.count(choice.budget)} tokens on average`;
    write(says, `${tokens} · ${said}${same}${p}`);
  };
  const head = node(
    "div",
    { class: "vt-pair-head" },
    node("span", { class: "vt-tag" }, LETTERS[i]),
    node("span", { class: "vt-select" }, select),
    open,
  );
  return { node: node("div", {}, head, picture.node, says), update };
}

function hooks(selection) {
  return {
    seen: () => ({ kase: selection.case, view: selection.store.state.view }),
    cursor: (token) => selection.set({ cursor: token }),
  };
}

const FATES = [
  ["both", "kept by both"],
  ["onlyA", "only by A"],
  ["onlyB", "only by B"],
  ["none", "by none"],
];

function legend() {
  const figures = FATES.map(([name, words]) => {
    const figure = node("b");
    const swatch = node("i", { class: "vt-swatch", "data-fate": name });
    return { name, figure, whole: node("li", {}, swatch, figure, ` ${words}`) };
  });
  const list = node("ul", { class: "vt-legend" }, ...figures.map(({ whole }) => whole));
  const update = (counts) => {
    for (const { name, figure } of figures) write(figure, format.count(counts[name]));
  };
  return { node: list, update };
}

function patchInWords(kase, token, [a, b]) {
  const [row, column] = kase.grid.place.slice(3 * token + 1, 3 * token + 3);
  const fates = [a, b].map(({ choice }) => {
    const fate = choice.stages.at(-1).fate[token];
    return fate === 0 ? "keeps it" : fate > 0 ? "merges it" : "drops it";
  });
  return `Row ${row + 1}, column ${column + 1}: A ${fates[0]}, B ${fates[1]}.`;
}

/** The section of the two. */
export function pairPanel(selection) {
  const sides = LETTERS.map((_, i) => side(selection, i));
  const difference = patchPicture(hooks(selection));
  const counts = legend();
  const line = node("p", { class: "vt-small vt-pair-line", "aria-live": "polite" });
  const middle = node(
    "div",
    { class: "vt-pair-middle" },
    node("div", { class: "vt-pair-head" }, node("b", {}, "Difference")),
    difference.node,
    counts.node,
  );
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-pair", tabindex: "-1" },
    node("h2", {}, "Two methods side by side · press two cards, or a cell of the table"),
    node("div", { class: "vt-pair" }, sides[0].node, middle, sides[1].node),
    line,
  );

  const update = (entryOf) => {
    const { case: kase, state } = selection;
    const entries = state.pair.map(entryOf);
    const missing = entries.some((entry) => !entry);
    show(panel, !missing);
    if (missing) return;
    sides.forEach(({ update: draw }, i) => draw(entries[i], kase.methods));
    const [a, b] = entries.map(({ choice }) => keptBits(choice));
    const shared = overlap(a, b);
    const { n } = kase.grid;
    counts.update({ ...shared, none: n - shared.both - shared.onlyA - shared.onlyB });
    const names = entries.map(({ method }) => method.title);
    difference.update(
      (canvas) =>
        drawDifference(
          canvas,
          kase,
          entries.map(({ choice }) => choice),
          { view: selection.store.state.view, cursor: state.cursor },
        ),
      `Difference of ${names[0]} and ${names[1]}: ${shared.both} patches kept by both, ` +
        `${shared.onlyA} only by ${names[0]}, ${shared.onlyB} only by ${names[1]}. ` +
        "Arrow keys read single patches.",
    );
    const alike = jaccard(a, b);
    write(
      line,
      state.cursor >= 0
        ? patchInWords(kase, state.cursor, entries)
        : Number.isNaN(alike)
          ? "One of the two keeps no patch as it was, so there is nothing to share."
          : `${format.count(shared.both)} of ${format.count(shared.both + shared.onlyA + shared.onlyB)} ` +
            `patches that either keeps are kept by both (Jaccard ${format.probability(alike)}).`,
    );
    mark(panel, "data-both", shared.both);
    mark(panel, "data-pair", state.pair.join(" "));
  };
  return { node: panel, update };
}
