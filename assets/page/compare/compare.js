/**
 * The tab "Compare": all methods on the open picture at one budget, or a few that were chosen. Puts
 * the parts together: the question and its full answer, one slider for all, two methods large, the
 * cards, agreement and disputed patches, and a download of the numbers.
 */
import { announcer, inbound, valueOf } from "../common/bridge.js";
import { captionLine, waitingLine } from "../common/caption.js";
import { mark, node, rootOf, segments, show, term, withTerms, write } from "../common/dom.js";
import { downloadTable } from "../common/download.js";
import { format } from "../common/format.js";
import { agreementPanel, disputePanel } from "./agreement.js";
import { cardGrid } from "./cards.js";
import { methodChoice } from "./choice.js";
import { pairPanel } from "./pair.js";
import { comparisonRows } from "./rows.js";
import { CompareSelection, FAMILIES, SORTS } from "./selection.js";

const SPEAK_MS = 400;
const FAIR =
  "The line across a card's bar is the mean of 5 [random draws](own random) that count positions as the method " +
  "does and, inside the language model, drop at its layers; worse than random is what is below all 5.";

/** One slider for all, its big number and what is under way. */
function hand(selection) {
  const number = node("output", { class: "vt-number" });
  const tokens = node("span");
  const share = node("span", { class: "vt-share" }, tokens, term("mean budget", "mean over layers"));
  const input = node("input", {
    type: "range",
    id: "vt-compare-budget",
    class: "vt-range",
    min: 1,
    step: 1,
    "aria-label": "Budget of all methods: visual tokens kept, mean over layers",
  });
  const progress = node("progress", { "aria-hidden": "true", max: 1, value: 0 });
  const says = node("span", { class: "vt-compare-says" });
  const cancel = node(
    "button",
    { type: "button", class: "vt-ask", id: "vt-compare-cancel" },
    "Cancel",
  );
  const call = node("button", { type: "button", class: "vt-ask", id: "vt-compare-call" });
  const spoken = node("p", { class: "vt-spoken", id: "vt-compare-live", "aria-live": "polite" });
  let speak = 0;
  let next = "";

  input.addEventListener("pointerdown", () => selection.hold());
  window.addEventListener("pointerup", () => selection.release());
  window.addEventListener("pointercancel", () => selection.release());
  input.addEventListener("input", () => selection.move(input.valueAsNumber));
  cancel.addEventListener("click", () => selection.cancel());
  call.addEventListener("click", () => selection.start());

  const update = (entries, sentence) => {
    const { state, case: kase, busy, waits } = selection;
    const { n } = kase.grid;
    write(number, format.count(state.budget));
    write(tokens, `of ${format.count(n)} visual tokens, `);
    mark(input, "max", n);
    if (input.valueAsNumber !== state.budget) input.value = state.budget;
    input.style.setProperty("--vt-at", (state.budget - 1) / Math.max(1, n - 1));
    mark(input, "aria-valuetext", `${state.budget} of ${n} visual tokens`);
    const { length: all } = selection.wanted;
    const done = all - selection.missing.length;
    progress.value = done / all;
    mark(progress, "data-on", busy ? "" : null);
    show(cancel, busy);
    show(call, waits);
    write(call, selection.cancelled ? "Go on" : `Ask ${all - done} times`);
    const under = busy ? selection.underWay(done, all) : sentence;
    write(says, selection.coming || selection.error || under);
    const words = busy ? "" : `${state.budget} of ${n} kept. ${sentence}`;
    if (words && words !== next) {
      next = words;
      clearTimeout(speak); // a moving hand would make a screen reader stumble
      speak = setTimeout(() => write(spoken, words), SPEAK_MS);
    }
  };
  const whole = node(
    "div",
    { class: "vt-compare-hand" },
    node("div", { class: "vt-compare-row" }, number, share, cancel, call),
    input,
    progress,
    node("p", { class: "vt-compare-status" }, says),
    spoken,
  );
  return { node: whole, update };
}

/** Methods that are slow: they get a card when somebody asks for them. */
function onDemand(selection) {
  const line = node("p", { class: "vt-small vt-later", hidden: true });
  let offered = "";
  const update = (kase) => {
    const there = new Set(kase.methods.map(({ key }) => key));
    const missing = (kase.later ?? []).filter(({ key }) => !there.has(key));
    show(line, missing.length > 0);
    const now = JSON.stringify([kase.id, missing.map(({ key }) => key)]);
    if (offered === now) return;
    offered = now;
    const buttons = missing.map(({ key, title }) => {
      const button = node("button", { type: "button", class: "vt-ask" }, title);
      button.addEventListener("click", () => {
        selection.store.maps.ask(key);
        button.disabled = true;
        button.textContent = `${title} …`;
      });
      return button;
    });
    line.replaceChildren("Slow, only when asked for: ", ...buttons);
  };
  return { node: line, update };
}

function select(label, id, choices, onChoose) {
  const chooser = node("select", { id, "aria-label": label });
  chooser.replaceChildren(...choices.map(([value, text]) => node("option", { value }, text)));
  chooser.addEventListener("change", () => onChoose(chooser.value));
  return chooser;
}

/** Sort, filter, view, download. */
function tools(selection, download) {
  const sort = select(
    "Sort by",
    "vt-compare-sort",
    SORTS.map(([key, text]) => [key, `sort: ${text}`]),
    (key) => selection.set({ sort: key }),
  );
  const family = select("Family of methods", "vt-compare-family", FAMILIES, (key) =>
    selection.set({ family: key }),
  );
  const csv = node("button", { type: "button", class: "vt-ask", id: "vt-compare-csv" }, "CSV");
  mark(csv, "title", "Download all numbers of this comparison");
  csv.addEventListener("click", download);
  const views = node("span", { hidden: true });
  let offered = null;
  let press = () => {};

  const update = (entries) => {
    const { case: kase, state } = selection;
    const many = kase.grid.views.length > 1;
    show(views, many);
    if (many && offered !== kase) {
      const choices = kase.grid.views.map((view, i) => [String(i), view.name]);
      const made = segments("View", choices, (i) =>
        selection.store.set({ view: Number(i), cursor: -1 }),
      );
      views.replaceChildren(made.group);
      ({ press } = made);
      offered = kase;
    }
    press(selection.store.state.view);
    const right = sort.querySelector("[value=right]");
    right.disabled = !kase.truth;
    if (sort.value !== state.sort) sort.value = state.sort;
    if (family.value !== state.family) family.value = state.family;
    csv.disabled = !entries.some(({ answer }) => answer);
  };
  const framed = [sort, family].map((chooser) => node("span", { class: "vt-select" }, chooser));
  return { node: node("div", { class: "vt-compare-tools" }, views, ...framed, csv), update };
}

/** "12 of 17 methods give the full answer, random in 1 of 5 draws; 2 do worse than random." */
function inWords(selection, entries) {
  const { chance } = selection;
  const judged = entries.filter(({ method, answer }) => answer && !method.baseline);
  const left = selection.missing.length;
  if (left && selection.held) return "The answers follow when the hand rests.";
  const rest = selection.cancelled && left ? `Stopped: ${left} answers are missing.` : "";
  if (!judged.length) return rest;
  const same = judged.filter(({ answer }) => answer.same).length;
  const many = judged.length === 1 ? "1 method gives" : `${judged.length} methods give`;
  const parts = [`${same} of ${many} the full answer`];
  if (chance) {
    parts[0] += `, random in ${chance.same} of ${chance.draws} draws`;
    const worse = judged.filter((entry) => entry.worse).length;
    if (worse) parts.push(`${worse} ${worse === 1 ? "does" : "do"} worse than random`);
  }
  const high = entries.filter(({ reached }) => !reached).length;
  if (high) parts.push(`${high} ${high === 1 ? "is" : "are"} shown at the floor`);
  return `${parts.join("; ")}. ${rest}`.trim();
}

function save(selection, entries) {
  const { case: kase, state } = selection;
  downloadTable(`compare-${kase.id}-${state.budget}`, comparisonRows(selection, entries));
}

/** What follows every move of the hand (draw), and what waits until it is calm (redraw). */
function follow(selection, root, parts) {
  const { top, slider, chosen, choice, cards, later, pair, matrix, disputed } = parts;
  let entries = [];

  const draw = () => {
    const { case: kase, state, chance, busy } = selection;
    ({ entries } = selection);
    const all = new Map(entries.map((entry) => [entry.key, entry]));
    const random = all.get(selection.draws[0]);
    if (random && chance) random.random = chance;
    const { pair: shown, budget } = state;
    const { view } = selection.store.state;
    top.update(kase, selection.full);
    slider.update(entries, inWords(selection, entries));
    chosen.update(entries);
    cards.update(entries, { kase, view, pair: shown, budget, busy });
    later.update(kase);
    choice.update(kase);
    pair.update((key) => all.get(key) ?? selection.entryOf(key));
    mark(root, "data-budget", budget);
    mark(root, "data-case", kase.id);
    mark(root, "data-is", busy ? "busy" : selection.missing.length ? "waiting" : "done");
  };
  const redraw = () => {
    matrix.update(entries);
    disputed.update(entries);
    mark(root, "data-agreed", selection.state.budget);
  };
  return { draw, redraw, entries: () => entries };
}

/**
 * Mount the tab on its component. Its value is {draws, reply}: specs of the draws of random, and
 * the latest reply of the server (see BatchRequest.receive).
 */
function mount(selection, block) {
  const root = rootOf(block.element, "vt-compare");
  selection.draws = valueOf(block).draws;
  const pair = pairPanel(selection);
  const layBeside = (a, b) => {
    selection.set({ pair: [a, b] });
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    pair.node.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "nearest" });
  };
  const parts = {
    top: captionLine(),
    slider: hand(selection),
    chosen: tools(selection, () => save(selection, made.entries())),
    choice: methodChoice(selection),
    cards: cardGrid(selection),
    later: onDemand(selection),
    pair,
    matrix: agreementPanel(selection, layBeside),
    disputed: disputePanel(selection),
  };
  const made = follow(selection, root, parts);
  const bar = node("div", { class: "vt-compare-bar" }, parts.slider.node, parts.chosen.node);
  const below = node("div", { class: "vt-compare-two" }, parts.matrix.node, parts.disputed.node);
  root.replaceChildren(
    waitingLine(selection, root),
    parts.top.node,
    bar,
    parts.pair.node,
    parts.choice.node,
    parts.cards.node,
    node("p", { class: "vt-note" }, ...withTerms(FAIR)),
    parts.later.node,
    below,
  );
  selection.mount(made.draw, made.redraw, () => root.offsetParent !== null);
  new IntersectionObserver(() => selection.follow()).observe(root);
  inbound(block, ({ reply }) => selection.receive(reply));
}

/** What Gradio mounts: the tab, and the way out for what it asks: {case, wanted, ticket}. */
export function compareTab(store) {
  const selection = new CompareSelection(store);
  return {
    selection,
    mount: (block) => mount(selection, block),
    mountRequest: (block) => selection.connect(announcer(block, "work")),
  };
}
