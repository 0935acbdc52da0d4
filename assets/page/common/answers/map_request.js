/**
 * Asks for one more map of the open case: of a method that is slow, or whose settings were changed.
 * Knows nothing of elements.
 */

export class MapRequest {
  failures = new Map(); // why a map could not be drawn, by spec
  #store;
  #send = null;

  constructor(store) {
    this.#store = store;
  }

  connect(send) {
    this.#send = send;
  }

  ask(spec) {
    const { case: open } = this.#store.state;
    if (!open || open.methods.some(({ key }) => key === spec)) return;
    this.failures.delete(spec);
    this.#send?.({ case: open.id, spec });
  }

  /** Take in a reply: {case, spec, method, error}. */
  receive(reply) {
    if (!reply) return;
    if (reply.error) this.failures.set(reply.spec, reply.error);
    if (reply.method) this.#store.addMethod(reply.case, reply.method);
    this.#store.changed();
  }
}
