/**
 * Choosing a model: the list of models, into how many pieces those cut a picture that do, and what is
 * said while one loads. The lists show the model of the open case, or the one that was chosen until it
 * is there or can't be had.
 */
import { valueOf } from "../common/bridge.js";
import { mark, node, show, write } from "../common/dom.js";

const REST_MS = 500; // arrow keys run through the list; what they rest on is meant

const modelOf = (key) => key?.replace(/@(whole|2x2|full)$/, "");

/** value: {models: [[title, key]], chosen: string, resolutions: {model: [[title, key]]}} */
function models(store, choice, block) {
  const { element, props, trigger } = block;
  const value = valueOf(block);
  const chooser = (label, pairs) => {
    const options = pairs.map(([title, key]) => node("option", { value: key }, title));
    return node("select", { "aria-label": label }, ...options);
  };
  const select = chooser("Model", value.models);
  const place = element.querySelector(".vt-select");
  const shown = () => choice.key ?? store.state.case?.model;
  let pieces = null; // the second list, and the model whose it is
  const drawPieces = (key) => {
    const model = modelOf(key);
    if (pieces?.dataset.model !== model) {
      pieces?.parentElement.remove();
      const resolutions = value.resolutions[model];
      pieces = resolutions ? chooser("Pieces of the picture", resolutions) : null;
      if (!pieces) return;
      pieces.dataset.model = model;
      pieces.addEventListener("change", () => wait(() => pieces.value));
      place.after(node("span", { class: "vt-select" }, pieces));
    }
    if (pieces) pieces.value = key === model ? `${model}@full` : key;
  };
  const draw = () => {
    const key = shown();
    if (!key || choice.timer !== null) return;
    if (select.value !== modelOf(key)) select.value = modelOf(key);
    drawPieces(key);
  };
  const choose = (key) => {
    choice.timer = null;
    const same = key === shown() || (key === modelOf(key) + "@full" && modelOf(key) === shown());
    if (same) return draw();
    choice.key = key;
    props.value = { ...value, chosen: key, method: store.state.method };
    trigger("choose");
    draw();
  };
  const wait = (chosen) => {
    clearTimeout(choice.timer);
    choice.timer = setTimeout(() => choose(chosen()), REST_MS);
  };
  const first = (model) => value.resolutions[model]?.[0][1] ?? model;
  select.addEventListener("change", () => {
    wait(() => (select.value === modelOf(shown()) ? shown() : first(select.value)));
  });
  store.subscribe(({ case: open }) => {
    if (open?.model === choice.key || `${open?.model}@full` === choice.key) choice.key = null;
    draw();
  });
  place.replaceChildren(select);
}

/**
 * A sentence about the model, and while it loads how far it is, with a way out. Only the sentence is
 * read out as it comes; numbers that change all the time are not.
 * value: {kind, lines: [string], detail: string, share: number|null, cancel: boolean} or null.
 */
function loading(store, choice, block) {
  const { element, watch, trigger } = block;
  const place = element.querySelector(".vt-notes");
  const said = node("div", { "aria-live": "polite" });
  const bar = node("progress", { max: 1, "aria-label": "Loading the model" });
  const detail = node("span", { class: "vt-small" });
  const cancel = node("button", { type: "button" }, "Cancel");
  cancel.addEventListener("click", () => {
    cancel.disabled = true;
    trigger("cancel");
  });
  place.replaceChildren(said, bar, detail, cancel);

  function draw() {
    const value = valueOf(block) ?? {};
    const lines = value.lines ?? [];
    place.dataset.kind = value.kind ?? "note";
    place.hidden = lines.length === 0;
    write(said, lines.join(" "));
    write(detail, value.detail ?? "");
    mark(bar, "value", value.share ?? null);
    const loads = value.cancel === true;
    for (const part of [bar, detail, cancel]) show(part, loads);
    if (!loads) cancel.disabled = false;
    if (lines.length && value.kind !== "busy") {
      choice.key = null; // cancelled, or out of reach
      store.changed();
    }
  }

  draw();
  watch("value", draw);
}

/** What Gradio mounts: the list, and what is said about a load. */
export function modelPicker(store) {
  const choice = { key: null, timer: null };
  return {
    mountModels: (block) => models(store, choice, block),
    mountLoading: (block) => loading(store, choice, block),
  };
}
