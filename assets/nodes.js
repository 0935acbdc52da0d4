/**
 * Page nodes: makes elements, writes text into them and says numbers in words.
 * Everything a model or a visitor wrote goes through `textContent`. Knows nothing of cases,
 * methods or answers.
 */
(() => {
  const app = (window.explorer ??= {});
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
  app.node = (tag, attributes = {}, ...children) =>
    fill(document.createElement(tag), attributes, children);

  /** Make an SVG element. */
  app.svg = (tag, attributes = {}, ...children) =>
    fill(document.createElementNS(SVG, tag), attributes, children);

  /** Write text, touching the page only when it differs. */
  app.write = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  /** Set an attribute (null removes it), touching the page only when it differs. */
  app.mark = (element, name, value) => {
    if (value === null || value === undefined) {
      if (element.hasAttribute(name)) element.removeAttribute(name);
    } else if (element.getAttribute(name) !== String(value)) {
      element.setAttribute(name, String(value));
    }
  };

  /** Show or hide an element. */
  app.show = (element, visible) => {
    if (element.hidden === visible) element.hidden = !visible;
  };

  /** Where a component draws: the node of its constant template, or the element itself. */
  app.root = (element, name) => element.querySelector(`.${name}`) ?? element;

  /** A row of buttons of which one is pressed. */
  app.segments = (label, choices, onChoose) => {
    const buttons = choices.map(([value, text, title]) => {
      const button = app.node("button", { type: "button", "data-value": value, title }, text);
      button.addEventListener("click", () => onChoose(value));
      return button;
    });
    const group = app.node("span", { class: "vt-seg", role: "group", "aria-label": label });
    group.append(...buttons);
    const press = (value) => {
      for (const button of buttons) {
        app.mark(button, "aria-pressed", button.dataset.value === String(value));
      }
    };
    return { group, press };
  };

  /** Three significant digits, never as 1e-5. */
  function decimal(x) {
    const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(x))));
    return places ? x.toFixed(places).replace(/\.?0+$/, "") : String(Math.round(x));
  }

  /** "1,234"; small numbers take a shorter way, as dozens are written in every frame. */
  const count = (n) => {
    const whole = Math.round(n);
    return Math.abs(whole) < 1000 ? String(whole) : whole.toLocaleString("en");
  };

  /** How numbers are written; a figure that is not known is a dot. */
  app.say = {
    count,
    tenths: (x) => (Number.isInteger(x) || x >= 100 ? count(x) : x.toFixed(1)),
    percent: (part, whole) => `${Math.round((100 * part) / whole)} %`,
    probability: (p) => (p > 0 && p < 0.005 ? "< 0.01" : p.toFixed(2)),
    milliseconds: (seconds) => {
      const ms = seconds * 1000;
      return ms < 10 ? ms.toFixed(1) : count(ms);
    },
    /** Three significant digits without a needless zero in front: .0412 */
    brief: (x) => {
      if (!Number.isFinite(x)) return "·";
      if (x === 0) return "0";
      const size = Math.abs(x);
      const text = size < 1e-5 || size >= 1e5 ? x.toExponential(1) : decimal(x);
      return text.replace(/^(-?)0\./, "$1.").replaceAll("-", "−");
    },
    change: (from, to) => {
      const percent = Math.round((100 * (to - from)) / from);
      if (!Number.isFinite(percent)) return "";
      return percent === 0 ? "±0 %" : `${percent < 0 ? "−" : "+"}${Math.abs(percent)} %`;
    },
  };
})();
