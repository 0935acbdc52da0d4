/**
 * Asks for maps of the open case that are not there: of a method that is slow, or whose settings were
 * changed, and of all methods that it came without. Knows nothing of elements.
 */
import { Request } from "../request.js";

const FOLDER = "./gradio_api/page/"; // from the address of the page
const LOST_MS = 600_000; // a large model works long on one map, and tells nothing meanwhile

/** Do something when what is on the page has been drawn, and nothing else is to be done. */
const whenIdle = (work) =>
  requestAnimationFrame(() => (window.requestIdleCallback ?? window.setTimeout)(work));

export class MapRequest {
  failures = new Map(); // why a map could not be drawn, by spec
  #store;
  #send = null;
  #rest = new Request(LOST_MS); // {case}
  #fetching = null; // the file that is on its way

  constructor(store) {
    this.#store = store;
  }

  /** Give the way to ask for the map of one method, or for all that a case came without. */
  connect(send) {
    this.#send = send;
  }

  connectRest(send) {
    this.#rest.connect(send);
  }

  /** How far a large model is with all maps, in words; "" where nobody says so. */
  get stage() {
    return this.#rest.stage;
  }

  ask(spec) {
    const { case: open } = this.#store.state;
    if (!open || open.methods.some(({ key }) => key === spec)) return;
    this.failures.delete(spec);
    if (open.rest_file && open.rest.some(({ key }) => key === spec)) this.askRest();
    else this.#send?.({ case: open.id, spec });
  }

  /** Ask for all maps that the open case came without, if there are any, once. */
  askRest() {
    const { case: open } = this.#store.state;
    if (!open?.rest.length) return;
    if (open.rest_file) return void this.#fetch(open);
    const asked = this.#rest.busy && this.#rest.pending.case === open.id;
    if (this.#rest.connected && !asked) this.#rest.send({ case: open.id });
  }

  /** The page has all that it shows: what it came without may follow. */
  followUp() {
    const { state, isOpening } = this.#store;
    if (!state.case.rest.length || isOpening) return;
    if (state.case.rest_file) whenIdle(() => this.askRest());
    else this.askRest();
  }

  /** Another case is opened. */
  forget() {
    if (this.#rest.busy) this.#rest.cancel({ case: this.#rest.pending.case });
  }

  async #fetch(open) {
    if (this.#fetching === open.rest_file) return;
    this.#fetching = open.rest_file;
    try {
      const reply = await fetch(FOLDER + open.rest_file);
      if (!reply.ok) throw new Error(reply.statusText);
      this.#take(await reply.json());
    } catch {
      open.rest_file = null; // the server can work them out
      this.askRest();
    } finally {
      this.#fetching = null;
    }
  }

  /** Take in a reply about one method: {case, spec, method, error}. */
  receive(reply) {
    if (!reply) return;
    if (reply.error) {
      this.failures.set(reply.spec, reply.error);
      this.#store.withoutMap(reply.case, reply.spec);
    }
    if (reply.method) this.#store.addMethods(reply.case, [reply.method]);
    this.#store.changed();
  }

  /** Take in a reply about all: {ticket, case, methods, error, done}. */
  receiveRest(reply) {
    if (!reply || !this.#rest.receive(reply)) return;
    this.#store.changed();
    if (!reply.done) return;
    if (!reply.error) return this.#take(reply);
    // each can still be asked for by itself; who waits for all goes on with those that are there
    this.#store.withoutRest(reply.case);
  }

  #take({ case: id, methods, answers = [] }) {
    for (const answer of answers) this.#store.keep(id, answer);
    this.#store.addMethods(id, methods, true);
  }
}
