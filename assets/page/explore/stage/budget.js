/**
 * The budget under the hand: slider, big number, where the answer changes, the ladder of answers
 * and the staircase. Follows the slider without asking anybody. On a phone the bar stays in view and
 * carries both answers. Knows nothing of the overlay.
 */
import { staircase } from "../../canvas/line_chart.js";
import { mark, node, show, svg, term, write } from "../../common/dom.js";
import { format } from "../../common/format.js";
import { floorOf, pointBudgets } from "../../common/payload.js";

const SPEAK_MS = 150;
const IN_A_ROW = 14; // budgets of the ladder beside each other
const WORTH_A_WORD = 0.03; // a floor above this share of all tokens is named
const IN_TOWER =
  "The vision tower ran again with fewer patches, so that what the kept ones became differs from " +
  "the full run; tokens that entered each of its layers";

const uneven = ({ final, mean }) => Math.abs(final - mean) >= 0.5;

/** " · 33 % · 38 at the last layer" */
function shareInWords(choice, n) {
  const share = ` · ${format.percent(choice.budget, n)}`;
  return uneven(choice) ? `${share} · ${format.count(choice.final)} at the last layer` : share;
}

/** Why part of the track is out of reach; null where it is hardly any. */
function floorInWords(store) {
  const { method } = store;
  const { n } = store.state.case.grid;
  const floor = floorOf(store.state.case, method);
  const { requested, budget } = store.state;
  const isLess = requested < floor && requested !== budget;
  const askedFor = isLess ? ` ${format.count(requested)} were asked for.` : "";
  if (floor <= WORTH_A_WORD * n && !askedFor) return null;
  const why = method.where === "before the LLM" ? "" : ": its first layers see more tokens";
  return { reach: `Can't go below ${format.count(floor)} on average`, why: `${why}.${askedFor}` };
}

/** "64 of 196 kept, answer unchanged." */
function keptInWords(store) {
  const { budget, final } = store.choice;
  const { n } = store.state.case.grid;
  const last = `${format.count(final)} at the last layer`;
  const kept = uneven(store.choice)
    ? `${format.count(budget)} of ${format.count(n)} kept on average, ${last}`
    : `${format.count(final)} of ${format.count(n)} kept`;
  const { answer, is } = store.answers.pruned;
  if (store.state.covered) return `${kept}.`;
  if (is === "failed") return `${kept}, no answer.`;
  if (!answer || answer.partial) return `${kept}.`;
  const same = store.same(answer);
  if (same === null) return `${kept}.`;
  return `${kept}, answer ${same ? "unchanged" : "changed"}.`;
}

function breakInWords({ at, lowest, complete }) {
  const soFar = complete ? "" : " so far";
  if (at !== null) return `answer first changes at ${format.count(at)}${soFar}`;
  if (lowest !== null) return `answer unchanged down to ${format.count(lowest)}${soFar}`;
  return "";
}

function listen(input, store) {
  let pointer = false;
  input.addEventListener("pointerdown", () => {
    pointer = true;
    store.answers.hold();
  });
  const up = () => {
    pointer = false;
    store.answers.release();
  };
  window.addEventListener("pointerup", up);
  window.addEventListener("pointercancel", up);
  input.addEventListener("input", () => {
    const { budget } = store.state;
    const direction = pointer ? 0 : Math.sign(input.valueAsNumber - budget);
    store.moveBudget(input.valueAsNumber, direction);
  });
}

/** The slider; what a method can't reach is a hatched piece of its track. */
function slider(store) {
  const input = node("input", {
    type: "range",
    id: "vt-budget",
    class: "vt-range",
    step: 1,
    "aria-label": "Budget: visual tokens kept",
  });
  const blocked = node("span", { class: "vt-blocked", "aria-hidden": "true" });
  const ticks = svg("svg", {
    class: "vt-ticks",
    viewBox: "0 0 1000 1",
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  const path = svg("path");
  ticks.append(path);
  const track = node("div", { class: "vt-track" }, blocked, node("span", {}, ticks, input));
  let shaped = null;
  listen(input, store);

  function shape(kase, method) {
    const { n } = kase.grid;
    const floor = floorOf(kase, method);
    const points = pointBudgets(kase, method) ?? [];
    const at = (budget) => (1000 * (budget - floor)) / Math.max(1, n - floor);
    Object.assign(input, { min: floor, max: n });
    track.style.setProperty("--vt-blocked", (floor - 1) / Math.max(1, n - 1));
    mark(path, "d", points.map((budget) => `M${at(budget).toFixed(1)} 0V1`).join(""));
    show(blocked, floor > 1);
  }

  const update = (state) => {
    const { method } = store;
    if (shaped !== method) {
      shape(state.case, method);
      shaped = method;
    }
    const { n } = state.case.grid;
    if (input.valueAsNumber !== state.budget) input.value = state.budget;
    const [low, high] = [Number(input.min), Number(input.max)];
    input.style.setProperty("--vt-at", (state.budget - low) / Math.max(1, high - low));
    mark(input, "aria-valuetext", `${state.budget} of ${n} visual tokens`);
  };
  return { node: track, input, update };
}

/** The ladder of answers: a cell per budget says same, different or not known. */
function ladder(store) {
  const strip = node("div", {
    class: "vt-ladder",
    id: "vt-ladder",
    role: "group",
    "aria-label": "Answers at a ladder of budgets",
  });
  const ask = node("button", { type: "button", class: "vt-ask" });
  ask.addEventListener("click", () => store.answers.askLadder());
  strip.addEventListener("click", (event) => {
    const cell = event.target.closest("button");
    if (cell) store.moveBudget(Number(cell.value));
  });
  let cells = [];

  function lay(count) {
    cells = Array.from({ length: count }, () => {
      const [number, sign] = [node("span"), node("b")];
      return { cell: node("button", { type: "button" }, number, sign), number, sign };
    });
    strip.replaceChildren(...cells.map(({ cell }) => cell));
    const rows = Math.ceil(count / IN_A_ROW); // of equal length, so that none stands alone
    strip.style.setProperty("--vt-rungs", Math.ceil(count / rows));
  }

  function describe({ cell, number, sign }, budget) {
    const answer = store.state.covered ? null : store.known(budget);
    const same = answer && store.same(answer);
    const is = !answer || same === null ? "unknown" : same ? "same" : "different";
    const words = { unknown: "not known yet", same: "unchanged", different: "changed" }[is];
    mark(cell, "value", budget);
    mark(cell, "data-is", is);
    mark(cell, "aria-current", budget === store.state.budget ? "true" : null);
    const text = answer
      ? `${budget} tokens: ${answer.text} (${words})`
      : `${budget} tokens: ${words}`;
    mark(cell, "title", text);
    mark(cell, "aria-label", text);
    write(number, String(budget));
    write(sign, { unknown: "·", same: "=", different: "≠" }[is]);
  }

  const update = (state) => {
    const rungs = store.ladder;
    if (cells.length !== rungs.length) lay(rungs.length);
    rungs.forEach((budget, i) => describe(cells[i], budget));
    const missing = rungs.filter((budget) => !store.known(budget)).length;
    show(ask, !state.case.live && missing > 0);
    ask.disabled = store.answers.filling;
    const asking = store.answers.stages.few || "Asking …";
    write(ask, ask.disabled ? asking : `Ask at ${missing} budgets`);
  };
  return { node: node("div", { class: "vt-rungs" }, strip, ask), update };
}

/** What to do, for those who have never done it: it leaves at the first move of the slider. */
function hint(input) {
  const words = node("span", { class: "vt-hint", id: "vt-hint" }, "Drag to throw pieces away");
  input.addEventListener("input", () => words.remove(), { once: true });
  return words;
}

/** "a duck -> a robot": the answer from all tokens and the one from those that are kept. */
function bothAnswers(store) {
  const [full, sign, pruned] = [node("b"), node("i"), node("b")];
  const line = node("p", { class: "vt-both", id: "vt-both", "aria-hidden": "true" });
  line.append(full, sign, pruned);
  const update = () => {
    const { answer } = store.answers.pruned;
    const { covered } = store.state;
    const known = answer && !covered && !answer.partial && !answer.error ? answer : null;
    const same = known && store.same(known);
    write(full, store.full?.text ?? "…");
    write(sign, "→");
    write(pruned, covered ? "?" : (known?.text ?? "…"));
    mark(line, "data-is", same === null ? "unknown" : same ? "same" : "different");
  };
  return { node: line, update };
}

/** Everything under the picture that has to do with the budget. */
export function budgetPanel(store) {
  const number = node("output", { class: "vt-number", id: "vt-number", for: "vt-budget" });
  const [all, percent] = [node("span"), node("span")];
  const share = node("span", { class: "vt-share" }, all, term("visual token", "visual tokens"), percent);
  const badge = node("span", { class: "vt-badge", id: "vt-break" });
  const [reach, why] = [term("floor", ""), node("span")];
  const floor = node("p", { class: "vt-note vt-floor" }, reach, why);
  const seen = node("p", { class: "vt-sentence", "aria-hidden": "true" });
  const spoken = node("p", { class: "vt-spoken", id: "vt-live", "aria-live": "polite" });
  const hand = slider(store);
  const rungs = ladder(store);
  const both = bothAnswers(store);
  const [stairs, towerStairs] = [staircase(), staircase()];
  let speak = 0;
  let next = "";

  const update = (state) => {
    const { choice } = store;
    const { n } = state.case.grid;
    write(number, format.count(choice.budget));
    write(all, `of ${format.count(n)} `);
    write(percent, shareInWords(choice, n));
    const said = floorInWords(store);
    write(reach, said?.reach ?? "");
    write(why, said?.why ?? "");
    show(floor, Boolean(said));
    const change = state.covered ? "" : breakInWords(store.breaks);
    write(badge, change);
    mark(badge, "data-empty", change ? null : "");
    const sentence = keptInWords(store);
    write(seen, sentence);
    if (next !== sentence) {
      next = sentence;
      clearTimeout(speak); // a moving hand would make a screen reader stumble
      speak = setTimeout(() => write(spoken, sentence), SPEAK_MS);
    }
    stairs.update(choice.layers, n, choice.method.wipes);
    const { tower } = choice.stages[0];
    show(towerStairs.node, Boolean(tower));
    if (tower) towerStairs.update(tower, tower[0], false, IN_TOWER);
    for (const part of [hand, rungs, both]) part.update(state);
  };
  const row = node("div", { class: "vt-row" }, number, share, badge);
  const says = node("div", { class: "vt-says" }, seen, both.node, hint(hand.input));
  const sticky = node("div", { class: "vt-budget" }, row, hand.node, floor, says, spoken);
  const button = node("button", { type: "button", class: "vt-ask vt-watch" }, "Watch tokens leave");
  const watch = node("div", {}, button);
  const film = node("div", { class: "vt-film", id: "vt-film", hidden: true });
  return { hand: [sticky, rungs.node], stairs: [towerStairs.node, stairs.node, watch, film], update };
}
