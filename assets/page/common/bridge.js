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

/** Let replies come in through a hidden component. */
export function inbound({ props, watch }, receive) {
  watch("value", () => receive(props.value));
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
