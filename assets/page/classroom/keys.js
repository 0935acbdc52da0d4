/** Which keys are meant for the page as a whole, and not for the part of it that has the focus. */

// Parts that have a use of their own for letters and arrows.
const OWN = "input, textarea, select, [contenteditable], [role=application], [role=grid], [role=tab]";

/** Whether a key was pressed for the page: alone, and with nothing focused that takes it itself. */
export function isForThePage(event) {
  const { defaultPrevented, ctrlKey, metaKey, altKey, isComposing, target } = event;
  if (defaultPrevented || ctrlKey || metaKey || altKey || isComposing) return false;
  if (document.querySelector(":popover-open")) return false; // Escape closes that
  return !target.closest?.(OWN);
}
