/**
 * The small parts of the left column: example pictures, suggested questions, notes.
 * Each carries its choice in its value and tells the server with one event. Knows nothing of
 * methods, scores and answers.
 */
import { node } from "../common/dom.js";

/** Run `draw(value)` now and whenever the server changes the value. */
function follow(props, watch, draw) {
  draw(props.value);
  watch("value", () => draw(props.value));
}

/**
 * A strip of pictures to choose from.
 * value: {items: [{key, src, label}], chosen: string|null, asked: number}
 */
export function thumbs({ element, props, watch, trigger }) {
  const strip = element.querySelector(".vt-thumbs");
  follow(props, watch, (value) => {
    strip.replaceChildren(
      ...value.items.map((item) => {
        const picture = node("img", { src: item.src, alt: "", loading: "lazy" });
        const button = node(
          "button",
          { type: "button", title: item.label, "aria-label": item.label },
          picture,
        );
        button.dataset.key = item.key;
        button.setAttribute("aria-pressed", String(item.key === value.chosen));
        button.onclick = () => {
          props.value = { ...value, chosen: item.key, asked: value.asked + 1 };
          trigger("pick");
        };
        return button;
      }),
    );
  });
}

/** Suggested questions. value: {questions: [string], chosen: string|null, asked: number} */
export function chips({ element, props, watch, trigger }) {
  const row = element.querySelector(".vt-chips");
  follow(props, watch, (value) => {
    row.replaceChildren(
      ...value.questions.map((question) => {
        const button = node("button", { type: "button" }, question);
        button.onclick = () => {
          props.value = { ...value, chosen: question, asked: value.asked + 1 };
          trigger("pick");
        };
        return button;
      }),
    );
  });
}

/** Sentences where they arise. value: {kind: "error"|"note"|"busy", lines: [string]} or null */
export function notes({ element, props, watch }) {
  const list = element.querySelector(".vt-notes");
  follow(props, watch, (value) => {
    const lines = value?.lines ?? [];
    list.dataset.kind = value?.kind ?? "note";
    list.hidden = lines.length === 0;
    list.replaceChildren(...lines.map((line) => node("p", {}, line)));
  });
}
