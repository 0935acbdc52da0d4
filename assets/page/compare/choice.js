/**
 * Two to six methods chosen to be compared by themselves: a list with readings folded under their
 * method. Knows titles and groups; nothing of what the methods keep.
 */
import { mark, node, write } from "../common/dom.js";
import { grouped } from "../common/grouping.js";
import { FEWEST, MOST } from "./selection.js";

/** The list, folded up until it is wanted. */
export function methodChoice(selection) {
  const summary = node("summary");
  const all = node("button", { type: "button", class: "vt-ask" }, "All methods");
  const list = node("div", { class: "vt-choice-groups" });
  const whole = node("details", { class: "vt-choice", id: "vt-choice" }, summary, all, list);
  const boxes = new Map();
  let offered = null;

  all.addEventListener("click", () => selection.compareOnly([]));

  function tick(key, on) {
    const others = selection.state.chosen.filter((each) => each !== key);
    selection.compareOnly(on ? [...others, key] : others);
  }

  function label({ key, title }) {
    const box = node("input", { type: "checkbox", value: key });
    box.addEventListener("change", () => tick(key, box.checked));
    boxes.set(key, box);
    return node("label", {}, box, title);
  }

  function family({ members: [main, ...readings] }) {
    const first = label(main);
    if (!readings.length) return first;
    const fold = node("details", {}, node("summary", {}, `${readings.length} more of it`));
    fold.append(...readings.map(label));
    return node("div", {}, first, fold);
  }

  function offer(methods) {
    boxes.clear();
    const groups = grouped(methods).map(({ label: name, families }) =>
      node("fieldset", {}, node("legend", {}, name), ...families.map(family)),
    );
    list.replaceChildren(...groups);
  }

  const update = (kase) => {
    if (offered !== kase.methods) offer(kase.methods);
    offered = kase.methods;
    const { chosen } = selection.state;
    for (const [key, box] of boxes) {
      box.checked = chosen.includes(key);
      box.disabled = !box.checked && chosen.length >= MOST;
    }
    const few = chosen.length > 0 && chosen.length < FEWEST;
    const words = few ? "Choose one more" : `${chosen.length} chosen methods`;
    write(summary, chosen.length ? words : `Choose ${FEWEST} to ${MOST} methods`);
    mark(whole, "data-chosen", selection.chosen ? chosen.length : null);
  };
  return { node: whole, update };
}
