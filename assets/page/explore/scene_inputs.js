/**
 * Pictures that the page has: the strip of examples, and scenes by their seeds. Each opens with one
 * request, see common/answers/opening_request.js. Knows nothing of methods, scores and answers.
 */
import { valueOf } from "../common/bridge.js";
import { mark, node } from "../common/dom.js";
import { follow } from "./field.js";

const SEEDS = 1_000_000; // new scenes are numbered below this
const HIGHEST = 2 ** 53 - 1;

/**
 * Mount the strip of examples; that of the open picture is pressed.
 * Its value is {items: [{key, src, label, seed}]}.
 * @param {Store} store
 * @param {Block} block see common/bridge.js
 */
export function thumbs(store, block) {
  const buttons = valueOf(block).items.map(({ key, src, label, seed }) => {
    const picture = node("img", { src, alt: "", loading: "lazy" });
    const button = node(
      "button",
      { type: "button", title: label, "aria-label": label, "data-key": key },
      picture,
    );
    button.addEventListener("click", () => store.opening.ask({ kind: "example", chosen: key }));
    return { button, seed };
  });
  store.subscribe(({ case: open }) => {
    for (const { button, seed } of buttons) mark(button, "aria-pressed", open?.seed === seed);
  });
  block.element.querySelector(".vt-thumbs").replaceChildren(...buttons.map(({ button }) => button));
}

/** Mount a button for a scene drawn at random, and the seed by which it can be had again. */
export function scene(store, { element }) {
  const another = node("button", { type: "button" }, "New scene");
  const seed = node("input", {
    type: "number",
    min: 0,
    max: HIGHEST,
    step: 1,
    "aria-label": "Seed of the scene",
  });
  const open = () => store.opening.ask({ kind: "scene", seed: seed.valueAsNumber });
  another.addEventListener("click", () => {
    seed.value = Math.floor(Math.random() * SEEDS);
    open();
  });
  const form = node("form", { id: "vt-seed", novalidate: true }, seed);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (seed.reportValidity() && seed.value) open();
  });
  follow(store, seed, (kase) => kase.seed ?? "");
  element.querySelector(".vt-scene").replaceChildren(another, form);
}
