/**
 * What the visitor wants to open: all ways share one request, so that the newest one counts, be it a
 * question, a scene, a picture or a link. Remembers what was uploaded until the page knows its name.
 * Knows nothing of elements.
 */
import { Request } from "../request.js";

const OF_THE_OPEN = ["question", "truth"]; // kinds that are about the open case
const BESIDES = "truth"; // changes neither picture nor question: what is being typed stays

export class OpeningRequest {
  #request = new Request();
  #store;
  #uploads = new Map(); // what was uploaded, by the ticket of its request
  count = 0; // requests so far
  named = () => {}; // is told the name of an upload, and what was uploaded

  constructor(store) {
    this.#store = store;
  }

  /** Give the way to the server; a request that came before there was one is sent now. */
  connect(send) {
    const waiting = this.pending;
    this.#request.connect(send);
    if (waiting) this.#request.send(this.#message(waiting));
  }

  /** What is being opened, or null. */
  get pending() {
    return this.#request.busy ? this.#request.pending.opens : null;
  }

  /** Whether what is being opened is another case. */
  get isForCase() {
    const { pending } = this;
    return pending !== null && pending.kind !== BESIDES;
  }

  /** Open something: {kind, ...}, see explorer/ui/explore/opening_messages.py. upload: a blob. */
  ask(opens, upload = null) {
    const about = OF_THE_OPEN.includes(opens.kind) ? { case: this.#store.state.case?.id } : {};
    return this.#send({ ...opens, ...about }, upload, true);
  }

  /** Tell the server that an upload is on its way; gives the message that shall go with it. */
  announce(opens, upload = null) {
    return this.#send(opens, upload, false);
  }

  /** What is looked at goes along: its whole map comes at once. */
  #message(opens) {
    return { opens, method: this.#store.state.method };
  }

  #send(opens, upload, work) {
    if (opens.kind !== BESIDES) this.count++;
    const message = this.#request.send(this.#message(opens), work);
    this.#uploads.clear();
    if (upload) this.#uploads.set(message.ticket, upload);
    this.#store.changed();
    return message;
  }

  /** A request is done with: {ticket, picture}; picture: the name of what was uploaded. */
  receive(reply) {
    if (!reply) return;
    const upload = this.#uploads.get(reply.ticket);
    if (upload && reply.picture) this.named(reply.picture, upload);
    if (this.#request.receive({ ...reply, done: true })) this.#store.changed();
  }
}
