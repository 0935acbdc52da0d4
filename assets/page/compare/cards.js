/**
 * Small multiples: a card per method with what it keeps, its answer, how likely the full answer is
 * and what choosing took. Cards are made once and only change what differs. Knows nothing of the
 * server.
 */
import { SMALL_LINES, drawKept, pictureLayers } from "../canvas/thumbnails.js";
import { mark, node, show, write } from "../common/dom.js";
import { format } from "../common/format.js";
import { groupIndex, grouped } from "../common/grouping.js";
import { BY_GROUP } from "./selection.js";

/** ".41", "< .01", "1" */
const chance = (p) => format.probability(p).replace("0.", ".").replace(".00", "");

const SIGNS = { true: "=", false: "≠" };

/** What a card says, as one sentence for those who don't see it. */
function inWords(entry, shown) {
  const { method, choice } = entry;
  const parts = [`${method.title}: ${shown.kept}`];
  if (!entry.reached) parts.push(`can't go below ${format.count(choice.budget)} on average`);
  if (shown.answer) parts.push(shown.answer);
  if (shown.likelihood) parts.push(`probability of the full answer ${shown.likelihood}`);
  if (shown.ms) parts.push(`selection ${shown.ms}`);
  if (entry.worse) parts.push("worse than random");
  if (shown.tag) parts.push(`large picture ${shown.tag}`);
  return parts.join(", ");
}

function keptInWords({ stages, final }) {
  const { tally, extra, centres = [] } = stages.at(-1);
  const merged = tally.groups + (extra ?? 0);
  if (centres.some((token) => token >= 0)) {
    return `${format.count(final)} tokens kept, ${format.count(merged)} of them as means`;
  }
  if (!tally.kept && tally.groups) return `everything merged into ${format.count(tally.groups)}`;
  return merged
    ? `${format.count(final)} tokens kept, ${format.count(merged)} of them merged`
    : `${format.count(final)} kept`;
}

function cardOf(key, selection) {
  const { under, over, ready } = pictureLayers(() => selection.changed());
  const tag = node("span", { class: "vt-tag", hidden: true });
  const floor = node("span", { class: "vt-out", hidden: true });
  const picture = node("span", { class: "vt-mini-picture" }, under, over, tag, floor);
  const name = node("b");
  const ms = node("small");
  const words = node("span", { class: "vt-mini-text" });
  const sign = node("i", { class: "vt-sign" });
  const truth = node("i", { class: "vt-truth" });
  const bar = node("i");
  const spread = node("u", { hidden: true });
  const mean = node("s", { hidden: true });
  const p = node("small");
  const worse = node("span", { class: "vt-worse", hidden: true }, "▼ worse than random");
  const card = node(
    "button",
    { type: "button", class: "vt-mini", "data-method": key },
    picture,
    node("span", { class: "vt-mini-name" }, name, ms),
    node("span", { class: "vt-mini-answer" }, words, sign, truth),
    node(
      "span",
      { class: "vt-mini-p" },
      node("span", { class: "vt-likelihood" }, bar, spread, mean),
      p,
    ),
    worse,
  );
  card.addEventListener("click", () => selection.choose(key));
  let drawn = {};

  function draw(entry, kase, view) {
    const { choice } = entry;
    if (!ready(kase, view)) return;
    const { width, height } = over;
    const same = drawn.choice === choice && drawn.view === view;
    if (same && drawn.width === width && drawn.height === height) return;
    drawKept(over, kase, choice, { view, lines: SMALL_LINES });
    drawn = { choice, view, width, height };
  }

  /** What stands for an answer: words, and whether they say the same and are right. */
  function answerOf(entry, context) {
    const { answer, failure } = entry;
    if (entry.random) {
      const { same, draws, right } = entry.random;
      const rightly = right === null ? "" : `, right in ${right}`;
      return {
        text: `${same} of ${draws} draws`,
        sign: "=",
        is: same === draws ? "same" : same ? "some" : "different",
        truth: "",
        said: `same answer in ${same} of ${draws} draws${rightly}`,
      };
    }
    if (failure)
      return { text: "no answer", sign: "", is: "failed", truth: "", said: failure.error };
    if (!answer)
      return { text: context.busy ? "…" : "", sign: "", is: "waiting", truth: "", said: "" };
    const same = answer.same ?? null;
    const right = typeof answer.right === "boolean" ? answer.right : null;
    return {
      text: answer.text || "(nothing)",
      sign: SIGNS[same] ?? "",
      is: same === null ? "known" : same ? "same" : "different",
      truth: right === null ? "" : right ? "✓" : "✗",
      said: [
        `answer ${answer.text || "nothing"}`,
        same === null ? "" : same ? "same as the full answer" : "not the full answer",
        right === null ? "" : right ? "right" : "wrong",
      ]
        .filter(Boolean)
        .join(", "),
    };
  }

  const update = (entry, context) => {
    const { method, choice, likelihood, answer } = entry;
    draw(entry, context.kase, context.view);
    const shownAnswer = answerOf(entry, context);
    write(name, entry.random ? `${method.title} ×${entry.random.draws}` : method.title);
    mark(name, "title", method.title);
    const select = answer?.seconds?.select;
    const time = typeof select === "number" ? `${format.milliseconds(select)} ms` : "";
    write(ms, time);
    write(words, shownAnswer.text);
    mark(words, "title", shownAnswer.text.length > 16 ? shownAnswer.text : null);
    write(sign, shownAnswer.sign);
    write(truth, shownAnswer.truth);
    mark(truth, "data-right", shownAnswer.truth === "✓" ? "" : null);
    mark(card, "data-is", shownAnswer.is);
    const known = typeof likelihood === "number";
    bar.style.width = known ? `${100 * likelihood}%` : "0";
    const around = entry.random?.spread ?? 0;
    show(spread, known && around > 0);
    if (around) {
      spread.style.left = `${100 * Math.max(0, likelihood - around)}%`;
      spread.style.right = `${100 * (1 - Math.min(1, likelihood + around))}%`;
    }
    const random = entry.chance && !entry.random ? entry.chance.mean : null;
    show(mean, random !== null);
    if (random !== null) mean.style.left = `${100 * random}%`;
    const figure = known ? chance(likelihood) : "";
    write(p, around && known ? `${figure} ±${chance(around)}` : figure);
    show(worse, entry.worse);
    mark(card, "data-worse", entry.worse ? "" : null);
    mark(card, "data-baseline", method.baseline ? "" : null);
    const letter = ["A", "B"].filter((_, i) => context.pair[i] === entry.key).join(" ");
    show(tag, Boolean(letter));
    write(tag, letter);
    mark(card, "aria-pressed", Boolean(letter));
    const off = choice.budget !== context.budget;
    show(floor, off);
    write(
      floor,
      entry.reached ? `at ${format.count(choice.budget)}` : `floor ${format.count(choice.budget)}`,
    );
    mark(floor, "data-floor", entry.reached ? null : "");
    mark(card, "data-reached", entry.reached ? null : "no");
    const shown = {
      kept: keptInWords(choice),
      answer: shownAnswer.said,
      likelihood: figure,
      ms: time,
      tag: letter,
    };
    mark(card, "aria-description", inWords(entry, shown)); // its name is what stands on it
    mark(card, "data-kept", choice.stages.at(-1).tally.kept);
    mark(card, "data-budget", choice.budget);
  };
  return { node: card, update };
}

/** Cards by group in the order of `listed`, under each method those of its readings, which are folded up. */
function groupsOf(entries, listed, cards, folds, selection) {
  const family = ({ key, members }) => {
    const [main, ...readings] = members.map((method) => cards.get(method.key).node);
    if (!readings.length) return main;
    if (!folds.has(key)) {
      const fold = node("details", { class: "vt-mini-fold" }, node("summary"), node("div"));
      fold.addEventListener("toggle", () => selection.changed()); // what was folded is not drawn
      folds.set(key, fold);
    }
    const fold = folds.get(key);
    write(fold.firstChild, readings.length === 1 ? "1 reading" : `${readings.length} readings`);
    fold.lastChild.replaceChildren(...readings);
    return node("div", { class: "vt-mini-family" }, main, fold);
  };
  const methods = entries.map(({ method }) => method);
  return grouped(methods, listed).map(({ label, families }) =>
    node(
      "section",
      { "data-group": label },
      node("h2", {}, label),
      node("div", { class: "vt-minis" }, ...families.map(family)),
    ),
  );
}

/** All names in a few lines, folded up: a name brings its card into view. */
function finder(cards) {
  const list = node("div");
  const whole = node("details", { class: "vt-finder" }, node("summary", {}, "Find a method"), list);
  const go = (key) => {
    const card = cards.get(key).node;
    card.scrollIntoView({ block: "center" });
    card.focus({ preventScroll: true });
  };
  return { node: whole, offer: (methods) => list.replaceChildren(groupIndex(methods, go)) };
}

/** The cards: in groups, or as one list where they are few or sorted across groups. */
export function cardGrid(selection) {
  const list = node("div", { class: "vt-mini-groups", role: "group", "aria-label": "All methods" });
  const cards = new Map();
  const folds = new Map();
  const find = finder(cards);
  let laid = "";

  function lay(entries, inGroups) {
    const focused = document.activeElement;
    for (const { key } of entries) {
      if (!cards.has(key)) cards.set(key, cardOf(key, selection));
    }
    const all = entries.map(({ key }) => cards.get(key).node);
    const listed = entries.toSorted((a, b) => a.place - b.place).map(({ method }) => method);
    const groups = () => groupsOf(entries, listed, cards, folds, selection);
    list.replaceChildren(...(inGroups ? groups() : [node("div", { class: "vt-minis" }, ...all)]));
    if (list.contains(focused)) focused.focus({ preventScroll: true });
    find.offer(listed);
  }

  const update = (entries, context) => {
    const inGroups = selection.state.sort === BY_GROUP && !selection.chosen;
    const now = JSON.stringify([inGroups, entries.map(({ key }) => key)]);
    if (laid !== now) lay(entries, inGroups);
    laid = now;
    const [x0, y0, x1, y1] = context.kase.grid.views[context.view].box;
    list.style.setProperty("--vt-aspect", (x1 - x0) / (y1 - y0));
    for (const entry of entries) cards.get(entry.key).update(entry, context);
  };
  return { node: node("div", {}, find.node, list), update };
}
