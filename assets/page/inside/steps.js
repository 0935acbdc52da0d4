/**
 * The slider over the words of an answer, and the words themselves: each is said from what the model
 * reads at the word before it, the first one at the prompt's last token.
 */
import { mark, node, write } from "../common/dom.js";

const END = "end";

/** A word as it is shown. */
export const wordOf = (text) => (text === "" ? END : text.trim() || "␣");

/** "“duck”, said at “a”"; the first word is said at the prompt's last token. */
function stepInWords(run, step) {
  const at = Math.min(step, run.predicted.length - 1);
  const before = at ? `“${wordOf(run.predicted[at - 1])}”` : "the prompt's last token";
  return `“${wordOf(run.predicted[at])}”, said at ${before}`;
}

/** One answer as buttons, a word each. */
function wordRow(selection, name) {
  const title = node("span", { class: "vt-small" });
  const list = node("span", { class: "vt-inside-words", id: `vt-inside-words-${name}` });
  const row = node("div", { class: "vt-inside-row" }, title, list);
  let drawn = null;
  list.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button) selection.set({ step: Number(button.value) });
  });
  const update = (run, label) => {
    write(title, label);
    if (drawn !== run) {
      drawn = run;
      const buttons = (run?.predicted ?? []).map((text, step) => {
        const made = node("button", { type: "button", value: step }, wordOf(text));
        if (text === "") mark(made, "data-end", "");
        return made;
      });
      list.replaceChildren(...buttons);
    }
    const { step } = selection.state;
    [...list.children].forEach((button, at) => {
      mark(button, "aria-pressed", at === step);
    });
  };
  return { node: row, update };
}

/** The slider and both answers. */
export function stepSlider(selection) {
  const input = node("input", {
    type: "range",
    id: "vt-inside-step",
    min: 0,
    step: 1,
    "aria-label": "Word of the answer",
  });
  const spoken = node("output", { class: "vt-sentence", id: "vt-inside-step-line", for: input.id });
  const rows = [wordRow(selection, "full"), wordRow(selection, "pruned")];
  input.addEventListener("input", () => selection.set({ step: input.valueAsNumber }));
  const update = (names) => {
    const { runs, steps, state } = selection;
    input.max = Math.max(0, steps - 1);
    if (input.valueAsNumber !== state.step) input.value = state.step;
    input.style.setProperty("--vt-at", state.step / Math.max(1, steps - 1));
    input.disabled = steps < 2;
    const words = runs.full ? stepInWords(runs.full, state.step) : "…";
    mark(input, "aria-valuetext", words);
    write(spoken, words);
    rows[0].update(runs.full, names.full);
    rows[1].update(runs.pruned, names.pruned);
  };
  const whole = node(
    "div",
    { class: "vt-inside-steps" },
    ...rows.map((row) => row.node),
    input,
    spoken,
  );
  return { node: whole, update };
}
