/**
 * The tab "Sweep": where does the answer break? Puts the parts together: the question and its full
 * answer, which methods, what is under way, the plot, the table, and a download of the numbers.
 */
import { loadPlotly } from "../canvas/plotly.js";
import { announcer, inbound, openTab, valueOf } from "../common/bridge.js";
import { captionLine, waitingLine } from "../common/caption.js";
import { STAGES, firstTokenSwitch } from "../common/dominance_table.js";
import { mark, node, rootOf, segments, show, write } from "../common/dom.js";
import { downloadTable } from "../common/download.js";
import { format } from "../common/format.js";
import { isLong } from "../common/measures.js";
import { chooser } from "./chooser.js";
import { pointInWords, sweepFigure } from "./plot.js";
import { SweepSelection } from "./selection.js";
import { lineSwatch, randomInSum, sweepRows, sweepTable } from "./table.js";

const SPEAK_MS = 400;
const DRAW_MS = 250; // between two drawings of the plot,
const SHARE = 6; // and so many times what the last one took: the model needs the processor, too
const HOW =
  "Full markers: the full answer; hollow ones: another. Dotted upright: a floor below which a method can't go. " +
  "Band: lowest and highest draw of random, dashed its mean; thin dashes in a method's colour: the mean of " +
  "random that counts positions as it does and drops at its layers. Below, dashed across: MDI of all " +
  "tokens; dotted: balance of text and picture.";

/** Show a method at a budget in the tab "Explore". */
function open(store, key, budget) {
  store.chooseMethod(key);
  store.moveBudget(budget);
  openTab("Explore");
}

/** The chosen methods with their lines: what is what in the plot. */
function legend() {
  const list = node("ul", { class: "vt-sweep-legend", "aria-hidden": "true" });
  let drawn = "";
  const update = (curves) => {
    const now = JSON.stringify(curves.map(({ key, place }) => [key, place]));
    if (drawn === now) return;
    drawn = now;
    list.replaceChildren(
      ...curves.map(({ place, title }) => node("li", {}, lineSwatch(place), title)),
    );
  };
  return { node: list, update };
}

/** "VisionZip keeps the full answer down to 24, FastV to 48; random to 64–128." */
function inWords({ curves, random, cancelled, missing, n }) {
  const done = curves.filter((curve) => curve.done);
  const rest = cancelled && missing ? `Stopped: ${missing} answers are missing.` : "";
  if (!done.length) return rest;
  const parts = done.map(({ title, kStar }, i) => {
    const where = kStar === n ? "only with all tokens" : `down to ${format.count(kStar)}`;
    return i ? `${title} ${where}` : `${title} keeps the full answer ${where}`;
  });
  const sum = randomInSum(random);
  const chance = sum ? `; random down to ${sum.kStar}` : "";
  return `${parts.join(", ")}${chance}. ${rest}`.trim();
}

/** What is under way, and how to stop it. */
function progressLine(selection) {
  const bar = node("progress", { "aria-hidden": "true", max: 1, value: 0 });
  const says = node("p", { class: "vt-sweep-says" });
  const cancel = node(
    "button",
    { type: "button", class: "vt-ask", id: "vt-sweep-cancel" },
    "Cancel",
  );
  const call = node("button", { type: "button", class: "vt-ask", id: "vt-sweep-call" });
  const spoken = node("p", { class: "vt-spoken", id: "vt-sweep-live", "aria-live": "polite" });
  let speak = 0;
  let next = "";
  cancel.addEventListener("click", () => selection.cancel());
  call.addEventListener("click", () => selection.start());

  const update = (shown) => {
    const { all, missing, busy } = shown;
    const done = all - missing;
    bar.value = all ? done / all : 0;
    mark(bar, "data-on", busy ? "" : null);
    show(cancel, busy);
    show(call, selection.waits);
    write(call, selection.cancelled ? "Go on" : `Ask ${missing} times`);
    const sentence = inWords(shown);
    const under = busy ? selection.underWay(done, all) : sentence;
    write(says, selection.coming || selection.error || under);
    const words = busy ? "" : sentence;
    if (words === next) return;
    next = words;
    clearTimeout(speak); // not while answers still come
    speak = setTimeout(() => write(spoken, words), SPEAK_MS);
  };
  const whole = node("div", { class: "vt-sweep-progress" }, says, cancel, call, bar, spoken);
  return { node: whole, update };
}

/** The plot, and a line that says what the pointer is on; a click opens it. */
function plot(selection) {
  const box = node("div", {
    class: "vt-sweep-plot",
    role: "figure",
    "aria-label":
      "Probability of the full answer and MDI against the budget; the table below has the same numbers",
  });
  const line = node("p", { class: "vt-sweep-line vt-soft" });
  const words = node("span");
  const go = node("button", { type: "button", class: "vt-ask", hidden: true }, "Open in Explore");
  line.append(words, go);
  let touched = null;
  let timer = 0;
  let last = 0;
  let took = 0; // milliseconds of the last drawing
  let drawn = null;
  let ready = null;
  const touch = window.matchMedia("(hover: none)");
  go.addEventListener("click", () => touched && open(selection.store, ...touched));

  function clicked({ points }) {
    const at = points.find(({ customdata }) => customdata)?.customdata;
    if (!at) return;
    const [key, budget] = at;
    if (!touch.matches) return open(selection.store, key, budget);
    touched = at; // a finger can't hover: the first tap tells, the button opens
    const curve = selection.curves.find((each) => each.key === key);
    const point = curve?.points.find((each) => each.budget === budget);
    write(words, point ? pointInWords(curve.title, point) : `Random, ${budget} tokens`);
    show(go, true);
  }

  async function draw(shown) {
    const plotly = (ready ??= await loadPlotly().catch((error) => write(words, error.message)));
    if (!plotly || !box.isConnected) return;
    const first = !box.data;
    const { traces, layout, config } = sweepFigure(box, shown);
    const began = performance.now();
    await plotly.react(box, traces, layout, config);
    last = performance.now();
    took = last - began;
    if (first) box.on("plotly_click", clicked);
    mark(
      box,
      "data-points",
      traces.reduce((sum, { customdata }) => sum + (customdata?.length ?? 0), 0),
    );
  }

  const update = (shown) => {
    const now = JSON.stringify([
      shown.id,
      shown.part,
      box.clientWidth,
      shown.curves.map(({ key, place, points }) => [
        key,
        place,
        points.map(({ likelihood }) => likelihood),
      ]),
      [shown, ...shown.curves].map(({ chance }) => chance.map((each) => each?.mean)),
    ]);
    if (now === drawn) return;
    drawn = now;
    clearTimeout(timer);
    const pause = Math.max(DRAW_MS, SHARE * took);
    timer = setTimeout(() => draw(shown), Math.max(0, last + pause - performance.now()));
  };
  new ResizeObserver(() => selection.changed()).observe(box);
  return { nodes: [box, line], update };
}

function save(selection) {
  downloadTable(`sweep-${selection.case.id}`, sweepRows(selection));
}

/** What the tab shows now. */
function shownBy(selection) {
  const { case: kase, full, curves, random, chance, wanted, busy, cancelled } = selection;
  return {
    id: kase.id,
    n: kase.grid.n,
    curves,
    random,
    chance,
    ladder: (random[0]?.points ?? []).map(({ budget }) => budget),
    full,
    perToken: isLong(full),
    part: selection.mdi,
    all: wanted.length,
    missing: selection.missing.length,
    busy,
    cancelled,
  };
}

/**
 * Mount the tab on its component. Its value is {draws, first, reply}: specs of the draws of random,
 * the methods that are chosen at first, and the latest reply of the server (see BatchRequest.receive).
 */
function mount(selection, block) {
  const root = rootOf(block.element, "vt-sweep");
  const { draws, first } = valueOf(block);
  selection.draws = draws;
  for (const key of first) selection.choose(key, true);
  const top = captionLine();
  const choice = chooser(selection);
  const names = legend();
  const progress = progressLine(selection);
  const picture = plot(selection);
  const table = sweepTable((...place) => open(selection.store, ...place));
  const stages = segments(
    "Layers of the MDI",
    STAGES.map((name) => [name, name]),
    (stage) => selection.showMdi({ stage }),
  );
  const csv = node(
    "button",
    {
      type: "button",
      class: "vt-ask",
      id: "vt-sweep-csv",
      title: "Download the table and all points",
    },
    "CSV",
  );
  csv.addEventListener("click", () => save(selection));
  const tools = node(
    "div",
    { class: "vt-sweep-tools" },
    node("span", { class: "vt-small" }, "MDI of layers"),
    stages.group,
    firstTokenSwitch((first) => selection.showMdi({ first })),
    csv,
  );
  root.replaceChildren(
    waitingLine(selection, root),
    top.node,
    node(
      "section",
      { class: "vt-panel" },
      choice.node,
      progress.node,
      names.node,
      ...picture.nodes,
      tools,
      node("p", { class: "vt-note" }, HOW),
    ),
    table.node,
  );
  const draw = () => {
    const shown = shownBy(selection);
    top.update(selection.case, selection.full);
    choice.update(selection.case);
    progress.update(shown);
    names.update(shown.curves);
    picture.update(shown);
    table.update(shown);
    stages.press(shown.part.stage);
    csv.disabled = !shown.curves.some(({ points }) => points.some(({ answer }) => answer));
    mark(root, "data-case", shown.id);
    mark(root, "data-is", shown.busy ? "busy" : shown.missing ? "waiting" : "done");
  };
  loadPlotly().catch(() => {}); // while the first answers are worked out
  selection.mount(draw, () => root.offsetParent !== null);
  new IntersectionObserver(() => selection.follow()).observe(root);
  inbound(block, ({ reply }) => selection.receive(reply));
}

/** What Gradio mounts: the tab, and the way out for what it asks: {case, wanted, ticket}. */
export function sweepTab(store) {
  const selection = new SweepSelection(store);
  return {
    selection,
    mount: (block) => mount(selection, block),
    mountRequest: (block) => selection.connect(announcer(block, "work")),
  };
}
