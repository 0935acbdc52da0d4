/**
 * One kind of question to the server, of which the newest counts. A ticket names each: by it replies
 * to older ones are told apart, and the server stops working on them. Knows nothing of what is
 * asked, nor of elements; the way to the server is given by a hidden component (see bridge.js).
 */
const LOST_MS = 60_000;

let tickets = 0; // no two questions of a page have the same one
let whenForgotten = () => {};

/** Let something be done where the server has forgotten a case: it is given the reply that says so. */
export function onForgotten(act) {
  whenForgotten = act;
}

/** Look whether a reply says that its case is forgotten. */
export function noteForgotten(reply) {
  if (reply?.forgotten) whenForgotten(reply);
}

export class Request {
  #send = null;
  #pending = null; // {message, ticket, at}
  #lostMs;

  /** @param {number} lostMs nothing heard for so long: asking again is allowed */
  constructor(lostMs = LOST_MS) {
    this.#lostMs = lostMs;
  }

  /** Give the way to the server: send(message, work); without work it only learns the ticket. */
  connect(send) {
    this.#send = send;
  }

  get connected() {
    return this.#send !== null;
  }

  /** The message whose reply has not come yet, or null. */
  get pending() {
    return this.#pending?.message ?? null;
  }

  /** Milliseconds since something was sent or heard. */
  get quiet() {
    return this.#pending ? performance.now() - this.#pending.at : 0;
  }

  get lost() {
    return this.quiet >= this.#lostMs;
  }

  /** Where it stands in the queue, in words; "" where that isn't known, or it is its turn. */
  get waiting() {
    const [place, of] = this.#pending?.place ?? [1, 1];
    return of > 1 ? `number ${place} of ${of} in the queue` : "";
  }

  /** What the model is doing, and what of that is left, in words; "" where nobody says so. */
  get stage() {
    return this.#pending?.stage ?? "";
  }

  /** Whether a reply is awaited that may still come. */
  get busy() {
    return this.#pending !== null && !this.lost;
  }

  /**
   * Ask; what was asked before is no longer awaited. Gives the message with its ticket.
   * @param {boolean} work whether to send it on its way, or only its ticket
   */
  send(message, work = true) {
    const ticket = ++tickets;
    this.#pending = { message, ticket, at: performance.now() };
    this.#send?.({ ...message, ticket }, work);
    return { ...message, ticket };
  }

  /** Let the server stop: `message` says of what, as far as it needs to know. */
  cancel(message) {
    this.#pending = null;
    this.#send?.({ ...message, ticket: ++tickets }, false);
  }

  /** Await no reply any more; the server may go on. */
  drop() {
    this.#pending = null;
  }

  /**
   * Whether a reply answers what is asked now.
   * @param {{ticket: number, done?: boolean, place?: number[], stage?: string}} reply with `done`
   *   nothing more is awaited; place: in the queue, and of how many; stage: see the getter
   */
  receive(reply) {
    const { ticket, done = false, place = null } = reply;
    if (this.#pending?.ticket !== ticket) return false;
    const { stage = this.stage } = reply;
    Object.assign(this.#pending, { at: performance.now(), place, stage });
    if (done) this.#pending = null;
    return true;
  }
}
