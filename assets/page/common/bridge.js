/**
 * Between scripts and Gradio: hidden components that carry messages to the server and replies from
 * it, and the buttons of the tabs. Everything a message needs stands in the component's value: the
 * event itself carries nothing.
 *
 * @typedef {Object} Block what Gradio gives to the script of a component
 * @property {HTMLElement} element
 * @property {{value: any}} props
 * @property {function(string, function): void} watch
 * @property {function(string): void} trigger
 */

import { noteForgotten } from "./request.js";

const STAGES = { Explore: ".vt-stage", Debug: ".vt-debug" };

/**
 * A way out for messages: send(message, work). "announce" tells the server at once which ticket is
 * the newest; the other event waits in the queue.
 */
export function announcer({ props, trigger }, event) {
  return (message, work) => {
    props.value = message;
    trigger("announce");
    if (work) trigger(event);
  };
}

/** A way out for messages that nobody announces: send(message). */
export function sender({ props, trigger }, event) {
  return (message) => {
    props.value = message;
    trigger(event);
  };
}

const isText = (value) => typeof value === "string" && value !== ""; // what a new block holds

/**
 * The value of a block, which the server gives as JSON text: Gradio copies and observes every part of
 * a nested value, and a text has one. What a script of the page has put there stands as it is. Of
 * several lines the last counts.
 */
export function valueOf({ props: { value } }) {
  return isText(value) ? JSON.parse(value.slice(value.lastIndexOf("\n") + 1)) : value || null;
}

/**
 * Let replies come in through a component: one, or lines of which each adds to those before. What one
 * says is done before it is looked whether its case is forgotten.
 */
export function inbound({ props, watch }, receive) {
  let read = "";
  const readOn = () => {
    if (!isText(props.value)) return;
    const more = props.value.startsWith(`${read}\n`)
      ? props.value.slice(read.length + 1)
      : props.value;
    read = props.value;
    for (const line of more.split("\n")) {
      const message = JSON.parse(line);
      receive(message);
      noteForgotten(message?.reply ?? message);
    }
  };
  readOn();
  watch("value", readOn);
}

/** On a narrow screen Gradio moves the last tabs into a menu, where they are plain buttons. */
const tabButtons = () => [
  ...document.querySelectorAll("button[role=tab], .overflow-dropdown button"),
];

/** The name of the tab that is open, or undefined. */
export const openedTab = () =>
  tabButtons()
    .find((tab) => tab.ariaSelected === "true" || tab.classList.contains("selected"))
    ?.textContent.trim();

/** Open a tab of the page by its name, with its picture and slider in view unless told not to. */
export function openTab(name, inView = true) {
  if (openedTab() !== name) {
    tabButtons()
      .find((tab) => tab.textContent.trim() === name)
      ?.click();
  }
  const shown = inView && document.querySelector(STAGES[name]);
  if (shown) whenSeen(shown, () => bringIntoView(shown));
}

/** Do something once an element of a tab that opens is laid out. */
export function whenSeen(element, work) {
  requestAnimationFrame(() => (element.offsetParent ? work() : whenSeen(element, work)));
}

/** Scroll so far that a stage is seen with its slider; the whole page where that is enough. */
function bringIntoView(stage) {
  const slider = stage.querySelector(".vt-budget") ?? stage;
  const below = slider.getBoundingClientRect().bottom + window.scrollY <= window.innerHeight;
  if (below) window.scrollTo({ top: 0 });
  else (stage.querySelector(".vt-view") ?? stage).scrollIntoView({ block: "start" });
}
