/**
 * Lists of methods by what their score is computed from, readings of a method under it. Knows keys,
 * titles and groups; nothing of scores, pictures or answers.
 */
import { node } from "./dom.js";

const INDENT = "\u2003";

/** The method that a spec is a reading of: "hired" for "hired:paper?alpha=0.25". */
const baseOf = (key) => key.split(/[:?]/)[0];

/**
 * Sort methods into groups, and in these into families: a method with its readings behind it.
 * Groups stand as they first occur in `order`, families and readings as in `methods`.
 * @returns {{label: string, families: {key: string, members: Object[]}[]}[]}
 */
export function grouped(methods, order = methods) {
  const groups = new Map(order.map(({ group }) => [group, new Map()]));
  for (const method of methods) {
    const families = groups.get(method.group);
    const base = baseOf(method.key);
    const own = families.get(base) ?? [];
    if (method.key === base) own.unshift(method);
    else own.push(method);
    families.set(base, own);
  }
  return [...groups]
    .map(([label, families]) => ({
      label,
      families: [...families].map(([key, members]) => ({ key, members })),
    }))
    .filter(({ families }) => families.length);
}

/** The groups as parts of a select; readings are set in. */
export const groupedOptions = (methods) =>
  grouped(methods).map(({ label, families }) =>
    node(
      "optgroup",
      { label },
      ...families.flatMap(({ key: base, members }) =>
        members.map(({ key, title }) =>
          node("option", { value: key }, key === base ? title : `${INDENT}${title}`),
        ),
      ),
    ),
  );

/** All methods by name, in a few lines; pressing a name calls `go(key)`. */
export function groupIndex(methods, go) {
  const lines = grouped(methods).map(({ label, families }) => {
    const names = families.map(({ key, members }) => {
      const button = node("button", { type: "button", "data-key": key }, members[0].title);
      button.addEventListener("click", () => go(key));
      return button;
    });
    return node("li", {}, node("b", {}, label), ...names);
  });
  return node("ul", { class: "vt-index", "aria-label": "All methods by name" }, ...lines);
}
