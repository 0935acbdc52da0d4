/**
 * Page nodes: makes elements and changes what differs. Everything a model or a visitor wrote goes
 * through `textContent`. Knows nothing of cases, methods or answers.
 */

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children);
  return element;
}

/** Make an HTML element; children are elements or plain text. */
export const node = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

/** Make an SVG element. */
export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** A link to a paper or a repository, in a tab of its own. */
export const link = (href, text) =>
  node("a", { href, target: "_blank", rel: "noopener noreferrer" }, text);

/** A word that tells its definition when it is pressed; key: see assets/glossary.yaml. */
export const term = (key, text = key) =>
  node("button", { type: "button", class: "vt-term", "data-term": key }, text);

/** Nodes of a text in which [words](key) tell the definition of that key. */
export const withTerms = (text) =>
  text.split(/(\[[^\]]*\]\([^)]*\))/).map((piece) => {
    const [, words, key] = piece.match(/^\[([^\]]*)\]\(([^)]*)\)$/) ?? [];
    return key ? term(key, words) : piece;
  });

const DEFINED = { nested: "nested", "not nested": "nested", merges: "merged" };

/** A badge; one that says a word of the glossary tells its definition. */
export const badgeOf = (label) =>
  DEFINED[label]
    ? node("span", { class: "vt-badge" }, term(DEFINED[label], label))
    : node("span", { class: "vt-badge" }, label);

/** Write text, touching the page only when it differs. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute (null removes it), touching the page only when it differs. */
export function mark(element, name, value) {
  if (value === null || value === undefined) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, String(value));
  }
}

/** Show or hide an element. */
export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Where a component draws: the node of its constant template, or the element itself. */
export const rootOf = (element, name) => element.querySelector(`.${name}`) ?? element;

/** A place for what may be wider than the page: it can be scrolled, also by keys. */
export const scrollable = (label) =>
  node("div", { class: "vt-scrollable", role: "region", tabindex: 0, "aria-label": label });

/** A row of buttons of which one is pressed. */
export function segments(label, choices, onChoose) {
  const buttons = choices.map(([value, text, title]) => {
    const button = node("button", { type: "button", "data-value": value, title }, text);
    button.addEventListener("click", () => onChoose(value));
    return button;
  });
  const group = node("span", { class: "vt-seg", role: "group", "aria-label": label });
  group.append(...buttons);
  const press = (value) => {
    for (const button of buttons) {
      mark(button, "aria-pressed", button.dataset.value === String(value));
    }
  };
  return { group, press };
}

/** Fetch a style sheet that lies beside a script; resolves when it counts. */
export function stylesheet(url) {
  const link = node("link", { rel: "stylesheet", href: url });
  return new Promise((resolve, reject) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", () => reject(new Error(`${url} could not be loaded`)));
    document.head.append(link);
  });
}
