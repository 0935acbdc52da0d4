/**
 * What is said about the model: a sentence, and while it loads how far it is, with a way out.
 * value: {kind, lines: [string], detail: string, share: number|null, cancel: boolean} or null.
 * Only the sentence is read out as it comes; numbers that change all the time are not.
 */
import { mark, node, show, write } from "../common/dom.js";

export function modelLoading({ element, props, watch, trigger }) {
  const place = element.querySelector(".vt-notes");
  const said = node("div", { "aria-live": "polite" });
  const bar = node("progress", { max: 1, "aria-label": "Loading the model" });
  const detail = node("span", { class: "vt-small" });
  const cancel = node("button", { type: "button" }, "Cancel");
  cancel.onclick = () => {
    cancel.disabled = true;
    trigger("cancel");
  };
  place.replaceChildren(said, bar, detail, cancel);

  function draw() {
    const value = props.value ?? {};
    const lines = value.lines ?? [];
    place.dataset.kind = value.kind ?? "note";
    place.hidden = lines.length === 0;
    write(said, lines.join(" "));
    write(detail, value.detail ?? "");
    mark(bar, "value", value.share ?? null);
    const loads = value.cancel === true;
    for (const part of [bar, detail, cancel]) show(part, loads);
    if (!loads) cancel.disabled = false;
  }

  draw();
  watch("value", draw);
}
