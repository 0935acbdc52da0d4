/**
 * One kind of work that the server does for a tab: asked for, told of while it goes on,
 * cancelled, and dropped when something else is looked at. Knows nothing of what the work is.
 */
import { node, show, write } from "../dom.js";
import { Request } from "../request.js";

const LOST_MS = 120_000;

export class Task {
  #request = new Request(LOST_MS);
  #changed;
  reply = null; // the newest reply to what is asked for, and the message that asked
  cancelled = false;

  /** @param {function} changed called whenever something has changed */
  constructor(changed) {
    this.#changed = changed;
  }

  connect(send) {
    this.#request.connect(send);
  }

  get busy() {
    return this.#request.busy;
  }

  /** Where it stands in the queue, in words, or "". */
  get waiting() {
    return this.#request.waiting;
  }

  /** What the model is doing, in words, or "". */
  get stage() {
    return this.#request.stage;
  }

  /** What is asked for, or what the newest reply is about; null for nothing. */
  get message() {
    return this.#request.pending ?? this.reply?.message ?? null;
  }

  /** Ask; what was under way is dropped. Every message names its case, or its film. */
  ask(message) {
    this.forget();
    this.#request.send(message);
    this.#changed();
  }

  /** Stop what is under way. */
  cancel() {
    if (!this.busy) return;
    const { case: kase, film } = this.#request.pending;
    this.#request.cancel({ case: kase, film });
    this.cancelled = true;
    this.#changed();
  }

  /** Another case, or another question, is looked at. */
  forget() {
    if (this.busy) this.cancel();
    this.#request.drop();
    this.reply = null;
    this.cancelled = false;
  }

  receive(reply) {
    const message = this.#request.pending;
    if (!reply || !this.#request.receive(reply)) return;
    this.reply = { ...reply, message };
    this.#changed();
  }
}

/** When this task is due among all, where that is known; else how many share the model. */
function turnsInWords({ waiting, reply }) {
  if (waiting) return ` (${waiting})`;
  return reply?.others ? ` (taking turns with ${reply.others} of others)` : "";
}

/** A button that starts a task, one that cancels it, a bar, and a line that says how far it is. */
export function taskBar(task, label, id, start) {
  const go = node("button", { type: "button", class: "vt-ask", id: `vt-${id}-go` }, label);
  const cancel = node(
    "button",
    { type: "button", class: "vt-ask", id: `vt-${id}-cancel` },
    "Cancel",
  );
  const bar = node("progress", { "aria-hidden": "true", max: 1, value: 0 });
  const line = node("p", { class: "vt-small", "aria-live": "polite", id: `vt-${id}-line` });
  go.addEventListener("click", start);
  cancel.addEventListener("click", () => task.cancel());
  const update = (sentence = "") => {
    const { busy, reply } = task;
    const [done, total] = reply?.progress ?? [0, 1];
    show(go, !busy);
    show(cancel, busy);
    show(bar, busy);
    bar.value = total ? done / total : 0;
    const far = `Evaluated ${done} of ${total} …`;
    if (busy) return write(line, (done ? far : task.stage || "Starting …") + turnsInWords(task));
    write(line, reply?.error ?? (task.cancelled ? "Cancelled." : sentence));
  };
  return { buttons: [go, cancel], nodes: [bar, line], go, update };
}
