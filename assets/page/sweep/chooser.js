/** Which methods a sweep has: a box for each, in a list that opens. Knows nothing of answers. */
import { mark, node, write } from "../common/dom.js";
import { grouped } from "../common/grouping.js";

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
    boxes = [];
    const boxOf = (base, { key, title }) => {
      const box = node("input", { type: "checkbox", value: key });
      box.addEventListener("change", () => selection.choose(key, box.checked));
      boxes.push({ key, box });
      return node("label", { "data-reading": key === base ? null : "" }, box, title);
    };
    const groups = grouped(methods).map(({ label, families }) =>
      node(
        "fieldset",
        {},
        node("legend", {}, label),
        ...families.flatMap(({ key, members }) => members.map((method) => boxOf(key, method))),
      ),
    );
    list.replaceChildren(...groups);
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
