/** Sentences of the server where they arise. Knows nothing of what they are about. */
import { valueOf } from "../common/bridge.js";
import { node } from "../common/dom.js";

/** value: {kind: "error"|"note"|"busy", lines: [string]} or null */
export function notes(block) {
  const { element, watch } = block;
  const list = element.querySelector(".vt-notes");
  const draw = () => {
    const { kind = "note", lines = [] } = valueOf(block) ?? {};
    list.dataset.kind = kind;
    list.hidden = lines.length === 0;
    list.replaceChildren(...lines.map((line) => node("p", {}, line)));
  };
  draw();
  watch("value", draw);
}
