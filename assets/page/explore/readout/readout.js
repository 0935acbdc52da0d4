/**
 * The right column: answers, cost, dominance. Takes the server's replies in and puts the three
 * panels together.
 */
import { inbound } from "../../common/bridge.js";
import { mark, rootOf, show } from "../../common/dom.js";
import { answerPanel } from "./answers.js";
import { costPanel } from "./costs.js";
import { dominancePanel } from "./dominance.js";

/**
 * Mount the right column on the readout component. Its value is {ticket, case, answers}.
 * @param {Store} store
 * @param {Block} block see common/bridge.js
 */
export function readout(store, block) {
  const root = rootOf(block.element, "vt-readout");
  const panels = [answerPanel(store), costPanel(store), dominancePanel(store)];
  root.replaceChildren(...panels.map((panel) => panel.node));
  store.subscribe((state) => {
    show(root, Boolean(state.case));
    if (!state.case) return;
    mark(root, "data-pending", state.pending ? "" : null);
    for (const panel of state.pending ? panels.slice(0, 1) : panels) panel.update(state);
  });
  inbound(block, (reply) => store.answers.receive(reply));
}
