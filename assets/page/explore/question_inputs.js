/**
 * The question, suggestions for it, and the right answer where only the visitor can know it. Each
 * opens the case anew with one request. On narrow screens its row is all that is seen of the inputs, and
 * a button unfolds the others. Knows nothing of methods, scores and answers.
 */
import { mark, node, show } from "../common/dom.js";
import { follow } from "./field.js";
import { keepTruth } from "./own_pictures.js";

const LONGEST = 500; // letters of a right answer
const TOLD = "Known here? Then answers count as right or wrong, in all tabs.";

/** Unfolds the inputs that a narrow screen has no room for; base.css follows its state. */
function moreButton() {
  const button = node(
    "button",
    { type: "button", id: "vt-more", "aria-expanded": "false", "aria-controls": "vt-left" },
    "More",
  );
  mark(button, "title", "Upload a picture, draw another scene, take a suggested question");
  button.addEventListener("click", () => {
    mark(button, "aria-expanded", button.ariaExpanded !== "true");
  });
  return button;
}

function questionForm(store) {
  const box = node("textarea", { rows: 1, "aria-label": "Question", enterkeyhint: "send" });
  const button = node("button", { type: "submit", id: "vt-ask-button" }, "Ask");
  const form = node("form", {}, box, button, moreButton());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    store.opening.ask({ kind: "question", question: box.value });
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  follow(store, box, ({ question }) => question);
  return form;
}

function chips(store) {
  const row = node("div", { class: "vt-chips", id: "vt-suggestions" });
  let drawn = null;
  store.subscribe(({ case: open }) => {
    const questions = open?.suggestions ?? [];
    if (drawn === JSON.stringify(questions)) return;
    drawn = JSON.stringify(questions);
    row.replaceChildren(
      ...questions.map((question) => {
        const chip = node("button", { type: "button" }, question);
        chip.addEventListener("click", () => store.opening.ask({ kind: "question", question }));
        return chip;
      }),
    );
  });
  return row;
}

/** The right answer, where no scene knows it. */
function truthForm(store) {
  const box = node("input", {
    type: "text",
    id: "vt-truth",
    maxlength: LONGEST,
    placeholder: "Right answer, if you know it",
    "aria-label": "Right answer, if you know it",
    title: TOLD,
    autocomplete: "off",
  });
  const form = node("form", { id: "vt-truth-form", hidden: true }, box);
  const tell = () => {
    const truth = box.value.trim();
    const { case: open } = store.state;
    if (!open || truth === (open.truth ?? "")) return;
    keepTruth(open.picture.digest, open.question, truth);
    store.opening.ask({ kind: "truth", truth });
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tell();
  });
  box.addEventListener("change", tell);
  follow(store, box, ({ truth }) => truth ?? "");
  store.subscribe(({ case: open }) => show(form, open?.truth_told === true));
  return form;
}

/**
 * Mount the question on its block, whose value is nothing.
 * @param {Store} store
 * @param {Block} block see common/bridge.js
 */
export function questionInputs(store, { element }) {
  const place = element.querySelector("#vt-question");
  place.replaceChildren(questionForm(store));
  place.after(chips(store), truthForm(store));
}
