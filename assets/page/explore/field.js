/**
 * A field that shows what belongs to the open case, and is the visitor's as soon as he types: what
 * was typed since the newest request is never overwritten. Knows nothing of what it is for.
 */

/**
 * @param {Store} store
 * @param {HTMLInputElement|HTMLTextAreaElement} input
 * @param {function(Object): string} textOf what an open case would have in it
 */
export function follow(store, input, textOf) {
  let typedAt = -1; // how many requests there had been
  let shown = null; // the case that was written last
  input.addEventListener("input", () => (typedAt = store.opening.count));
  store.subscribe(({ case: open }) => {
    if (!open || open === shown || store.opening.pending) return;
    shown = open;
    if (typedAt !== store.opening.count) input.value = textOf(open);
  });
}
