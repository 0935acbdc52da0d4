/**
 * Definitions at hand: every button with a `data-term` shows what its word means, by pointer, touch
 * or key, until Escape or a touch elsewhere. Knows words and their definitions; nothing of tabs.
 */
import { valueOf } from "../common/bridge.js";
import { node, rootOf, term, write } from "../common/dom.js";

const GAP = 6; // pixels between a word and its definition

/** The box of a definition; there is one on the page. */
function definition() {
  const [word, is, source] = [node("b"), node("p"), node("p", { class: "vt-small" })];
  const box = node(
    "div",
    { id: "vt-definition", popover: "auto", role: "note", "aria-live": "polite" },
    word,
    is,
    source,
  );
  const beside = (button) => {
    const at = button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = box;
    const below = at.bottom + GAP + height <= window.innerHeight;
    box.style.left = `${Math.max(GAP, Math.min(at.left, window.innerWidth - width - GAP))}px`;
    box.style.top = `${Math.max(GAP, below ? at.bottom + GAP : at.top - GAP - height)}px`;
  };
  const show = (button, known) => {
    write(word, known.word);
    write(is, known.is);
    write(source, `From: ${known.source}`);
    button.setAttribute("aria-describedby", box.id);
    box.showPopover();
    beside(button);
  };
  return { box, show };
}

/** Mount the glossary. Its value is {key: {word, is, source}}. */
export function mountGlossary(block) {
  const terms = valueOf(block);
  const { box, show } = definition();
  (document.querySelector(".gradio-container .contain") ?? document.body).append(box);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-term]");
    const known = button && terms[button.dataset.term];
    if (!known) return;
    event.preventDefault();
    event.stopPropagation();
    show(button, known);
  });
}

/** The words of a tab, in a row. Its value is {words: [{key, word}]}. */
export function mountWords(block) {
  const root = rootOf(block.element, "vt-glossary");
  const buttons = valueOf(block).words.map(({ key, word }) => term(key, word));
  root.replaceChildren(node("span", { class: "vt-small" }, "Words of this tab:"), ...buttons);
}
