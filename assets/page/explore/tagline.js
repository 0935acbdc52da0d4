/**
 * The line under the title: how many pieces the model sees, whatever model and picture that is.
 * Knows nothing else of them.
 */
import { write } from "../common/dom.js";
import { format } from "../common/format.js";

/**
 * Mount the header on its block, whose template holds the words; it has no value.
 * @param {Store} store
 * @param {Block} block see common/bridge.js
 */
export function tagline(store, { element }) {
  const pieces = element.querySelector(".vt-tagline b");
  store.subscribe(({ case: open }) => open && write(pieces, format.count(open.grid.n)));
}
