/** Which methods a sweep has: a box for each, in a list that opens. Knows nothing of answers. */
import { mark, node, write } from "../common/dom.js";

/** The boxes, those of slow methods among them. */
export function chooser(selection) {
  const count = node("summary");
  const list = node("div", {
    class: "vt-sweep-methods",
    role: "group",
    "aria-label": "Methods of the sweep",
  });
  const whole = node("details", { class: "vt-sweep-choice" }, count, list);
  let offered = "";
  let boxes = [];

  function offer(methods) {
    boxes = methods.map(({ key, title }) => {
      const box = node("input", { type: "checkbox", value: key });
      box.addEventListener("change", () => selection.choose(key, box.checked));
      return { key, box, whole: node("label", {}, box, title) };
    });
    list.replaceChildren(...boxes.map((each) => each.whole));
  }

  const update = (kase) => {
    const there = new Set(kase.methods.map(({ key }) => key));
    const slow = (kase.later ?? []).filter(({ key }) => !there.has(key));
    const methods = [
      ...kase.methods.filter(({ key }) => key !== selection.draws[0]),
      ...slow.map((method) => ({ ...method, title: `${method.title} · slow` })),
    ];
    const now = JSON.stringify(methods.map(({ key }) => key));
    if (now !== offered) offer(methods);
    offered = now;
    const { chosen } = selection.state;
    for (const { key, box } of boxes) box.checked = chosen.includes(key);
    write(count, `Methods: ${selection.methods.length} of ${methods.length}, and always random`);
    const coming = slow.filter(({ key }) => chosen.includes(key)).map(({ title }) => title);
    mark(whole, "data-coming", coming.length ? coming.join(", ") : null);
  };
  return { node: whole, update };
}
