/** Sentences of the server where they arise. Knows nothing of what they are about. */
import { node } from "../common/dom.js";

/** value: {kind: "error"|"note"|"busy", lines: [string]} or null */
export function notes({ element, props, watch }) {
  const list = element.querySelector(".vt-notes");
  const draw = () => {
    const lines = props.value?.lines ?? [];
    list.dataset.kind = props.value?.kind ?? "note";
    list.hidden = lines.length === 0;
    list.replaceChildren(...lines.map((line) => node("p", {}, line)));
  };
  draw();
  watch("value", draw);
}
