/**
 * The middle column: method, picture with overlay, budget, how it is coloured. Puts the parts
 * together and marks the numbers of the last draw on the element for tests.
 */
import { COLOUR_RAMP } from "../../canvas/brush.js";
import { pictureView, shownStage } from "../../canvas/picture_view.js";
import { inbound } from "../../common/bridge.js";
import { mark, node, rootOf, segments, show, write } from "../../common/dom.js";
import { format } from "../../common/format.js";
import { budgetPanel } from "./budget.js";
import { cropsPanel } from "./crops.js";
import { methodHeader } from "./method_header.js";

const MODES = [
  ["both", "Score + kept", "Kept patches clear with a tint of their score, the others dark"],
  ["score", "Score", "Only the colours of the scores"],
  ["kept", "Kept only", "Only what is kept, without colours"],
];
const COLOURINGS = [
  ["rank", "Rank", "Colours spread evenly over the order of the patches"],
  ["linear", "Linear", "Colours proportional to the score"],
];

/** The colour bar with the numbers at its ends. */
function colourBar(store) {
  const low = node("span");
  const high = node("span");
  const ramp = node("i", { style: `background: ${COLOUR_RAMP}` });
  const bar = node("div", { class: "vt-bar" }, low, ramp, high);
  const update = () => {
    const { scores } = shownStage(store);
    write(low, `low ${format.brief(scores.low)}`);
    write(high, `${format.brief(scores.high)} high`);
  };
  return { node: bar, update };
}

/** How the overlay is shown: mode, strength and kind of colouring. */
function tools(store) {
  const mode = segments("What is drawn", MODES, (value) => store.set({ mode: value }));
  const kind = segments("Colouring", COLOURINGS, (value) => store.set({ colouring: value }));
  const opacity = node("input", {
    type: "range",
    id: "vt-opacity",
    min: 0,
    max: 100,
    step: 5,
    "aria-label": "Strength of the colours",
  });
  opacity.addEventListener("input", () => store.set({ opacity: opacity.valueAsNumber / 100 }));
  const label = node("label", { class: "vt-opacity" }, node("span", {}, "Colours"), opacity);
  const update = (state) => {
    mode.press(state.mode);
    kind.press(state.colouring);
    opacity.value = Math.round(100 * state.opacity);
    opacity.style.setProperty("--vt-at", state.opacity);
    opacity.disabled = state.mode === "kept";
  };
  return { node: node("div", { class: "vt-tools" }, mode.group, label, kind.group), update };
}

/** The picture of a case that is being opened, where the overlay will be drawn. */
function waitingPicture(frame) {
  const image = node("img", { alt: "The picture that is being looked at" });
  const words = node("p", {}, "Every method scores this picture now …");
  const whole = node("div", { class: "vt-waiting", hidden: true }, words, image);
  const update = ({ pending }) => {
    show(whole, Boolean(pending));
    if (!pending) return;
    const { src, width, height } = pending.picture;
    mark(image, "src", src);
    whole.style.setProperty("--vt-aspect", width / height);
    whole.style.setProperty("--vt-top", `${frame.offsetTop}px`);
  };
  return { node: whole, update };
}

const stageName = ({ layer }) => (layer === 0 ? "before the LLM" : `after layer ${layer}`);

/** A row of buttons that appears only where there is something to choose. */
function chooser(label, id, choicesOf, pressedOf, onChoose) {
  const row = node("div", { class: "vt-choose", id, hidden: true });
  let offered = "";
  let press = () => {};
  return {
    node: row,
    update() {
      const choices = choicesOf();
      show(row, choices.length > 1);
      if (offered !== JSON.stringify(choices)) {
        offered = JSON.stringify(choices);
        const made = segments(label, choices, onChoose);
        press = made.press;
        row.replaceChildren(node("span", {}, label), made.group);
      }
      press(pressedOf());
    },
  };
}

function choosers(store) {
  const { state } = store;
  const stages = chooser(
    "Stage",
    "vt-stages",
    () => store.choice.stages.map((stage, i) => [String(i), stageName(stage)]),
    () => Math.min(state.stage ?? Infinity, store.choice.stages.length - 1),
    (i) => store.set({ stage: Number(i), cursor: -1 }),
  );
  const views = chooser(
    "View",
    "vt-views",
    () => state.case.grid.views.map((view, i) => [String(i), view.name]),
    () => state.view,
    (i) => store.set({ view: Number(i), cursor: -1 }),
  );
  return [stages, views];
}

/** Numbers of what was just drawn, as data attributes. */
function label(root, store) {
  const { choice } = store;
  const { tally } = shownStage(store);
  const numbers = {
    kept: tally.kept,
    folded: tally.folded,
    dropped: tally.dropped,
    final: choice.final,
    budget: choice.budget,
    method: choice.method.key,
  };
  for (const [name, value] of Object.entries(numbers)) mark(root, `data-${name}`, value);
  mark(root, "data-case", store.state.case.id);
}

/**
 * Mount the middle column on the stage component. Its value is a case (see payload.js), or null.
 * @param {Store} store
 * @param {Block} block see common/bridge.js
 */
export function stage(store, block) {
  const root = rootOf(block.element, "vt-stage");
  const head = methodHeader(store);
  const picture = pictureView(store);
  const bar = colourBar(store);
  const shown = tools(store);
  const chosen = choosers(store);
  const budget = budgetPanel(store);
  const crops = cropsPanel(store);
  const empty = node("p", { class: "vt-empty" }, "Choose a picture and ask a question.");
  const waiting = waitingPicture(picture.node);
  const remark = node("p", { class: "vt-remark vt-narrow", id: "vt-remark", hidden: true });
  const under = node(
    "div",
    { class: "vt-narrow" },
    bar.node,
    picture.line,
    shown.node,
    ...chosen.map((part) => part.node),
  );
  for (const part of [...budget.hand, ...budget.stairs]) part.classList.add("vt-narrow");
  const body = node(
    "div",
    { class: "vt-body", hidden: true },
    ...head.nodes,
    picture.node,
    remark,
    ...budget.hand,
    under,
    ...budget.stairs,
    crops.node,
    head.doubts,
  );
  root.classList.add("vt-panel");
  root.replaceChildren(empty, waiting.node, body);
  store.subscribe((state) => {
    const { pending } = state;
    show(empty, !state.case && !pending);
    show(body, Boolean(state.case));
    mark(root, "data-pending", pending?.id);
    waiting.update(state);
    if (pending || !state.case) return;
    write(remark, state.case.remark ?? "");
    show(remark, Boolean(state.case.remark));
    for (const part of [head, picture, bar, shown, ...chosen, budget, crops]) part.update(state);
    label(root, store);
  });
  inbound(block, (opened) => store.openCase(opened));
}
