/**
 * Which methods of a case can be drawn: their maps are there. Of the rest, whose maps follow, a case
 * has what a list names. Knows nothing of what maps hold.
 */

const hasMap = ({ order, knots }) => Boolean(order ?? knots);

/** Let a case list these methods, in this order; see Case in payload.js. */
export function listMethods(kase, listed) {
  const rest = listed.filter((method) => !hasMap(method));
  return Object.assign(kase, { listed, methods: listed.filter(hasMap), rest });
}

/** Take in maps, each where its method is listed, or else behind all. last: no other follows. */
export function takeMaps(kase, maps, last) {
  const found = new Map(maps.map((method) => [method.key, method]));
  const listed = kase.listed.map((method) => {
    const there = hasMap(method) ? method : (found.get(method.key) ?? method);
    found.delete(method.key);
    return there;
  });
  const all = [...listed, ...found.values()];
  listMethods(kase, last ? all.filter(hasMap) : all);
}
