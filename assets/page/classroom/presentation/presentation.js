/**
 * The page on a projector: picture, slider, two answers and the sentence, in large type and nothing
 * else; the answer can be kept back until a class has voted. It is the same page, laid out anew by
 * classroom.css. Knows nothing of methods and answers.
 */
import { openTab } from "../../common/bridge.js";
import { mark, node, show, write } from "../../common/dom.js";
import { isForThePage } from "../keys.js";

const KEYS = { p: "toggle", c: "cover", l: "watch", Escape: "leave" };

/** @param {Store} store */
export class Presentation {
  #store;
  #bar;

  constructor(store) {
    this.#store = store;
    this.#bar = this.#makeBar();
    document.body.append(this.#bar);
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  get on() {
    return document.body.hasAttribute("data-presenting");
  }

  toggle() {
    if (this.on) this.leave();
    else this.enter();
  }

  enter() {
    openTab("Explore", false);
    mark(document.body, "data-presenting", "");
    show(this.#bar, true);
    window.scrollTo({ top: 0 });
  }

  leave() {
    mark(document.body, "data-presenting", null);
    show(this.#bar, false);
    this.#store.set({ covered: false });
  }

  /** Keep the pruned answer back, or show it. */
  cover() {
    this.#store.set({ covered: !this.#store.state.covered });
  }

  /** Let the tokens leave layer by layer, or stop that. */
  watch() {
    document.querySelector(".vt-watch").click();
  }

  #press(event) {
    const act = KEYS[event.key];
    if (!this.on || !act || !isForThePage(event)) return;
    event.preventDefault();
    this[act]();
  }

  #makeBar() {
    const heading = { role: "heading", "aria-level": 1 }; // the page's own is out of sight
    const question = node("p", { class: "vt-presented", ...heading });
    const button = (label, key, act) => {
      const made = node("button", { type: "button", "aria-keyshortcuts": key }, label);
      made.addEventListener("click", act);
      return made;
    };
    const cover = button("", "C", () => this.cover());
    const watch = button("Layers (L)", "L", () => this.watch());
    const leave = button("Leave (P)", "P", () => this.leave());
    const bar = node("header", { class: "vt-presenting", hidden: true }, question, watch, cover, leave);
    this.#store.subscribe(({ case: open, covered }) => {
      write(question, open?.question ?? "");
      write(cover, covered ? "Show the answer (C)" : "Cover the answer (C)");
      mark(cover, "aria-pressed", covered);
    });
    return bar;
  }
}
