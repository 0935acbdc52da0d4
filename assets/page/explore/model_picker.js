/**
 * Choosing a model: the list of models, and what is said while one loads. The list shows the model of
 * the open case, or the one that was chosen until it is there or can't be had.
 */
import { valueOf } from "../common/bridge.js";
import { mark, node, show, write } from "../common/dom.js";

const REST_MS = 500; // arrow keys run through the list; what they rest on is meant

/** value: {models: [[title, key]], chosen: string} */
function models(store, choice, block) {
  const { element, props, trigger } = block;
  const value = valueOf(block);
  const options = value.models.map(([title, key]) => node("option", { value: key }, title));
  const select = node("select", { "aria-label": "Model" }, ...options);
  const draw = () => {
    const key = choice.key ?? store.state.case?.model;
    if (key && choice.timer === null && select.value !== key) select.value = key;
  };
  const choose = () => {
    choice.timer = null;
    if (select.value === (choice.key ?? store.state.case?.model)) return draw();
    choice.key = select.value;
    props.value = { ...value, chosen: choice.key };
    trigger("choose");
  };
  select.addEventListener("change", () => {
    clearTimeout(choice.timer);
    choice.timer = setTimeout(choose, REST_MS);
  });
  store.subscribe(({ case: open }) => {
    if (open?.model === choice.key) choice.key = null;
    draw();
  });
  element.querySelector(".vt-select").replaceChildren(select);
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
