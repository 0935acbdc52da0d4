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

/** Open a tab of the page by its name. */
export function openTab(name) {
  // On a narrow screen Gradio moves the last tabs into a menu, where they are plain buttons.
  const tabs = [...document.querySelectorAll("button[role=tab], .overflow-dropdown button")];
  tabs.find((tab) => tab.textContent.trim() === name)?.click();
}
