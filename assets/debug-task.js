/**
 * One kind of work that the server does for the tab "Debug": asked for, told of while it goes on,
 * cancelled, and dropped when something else is looked at. Knows nothing of what the work is.
 */
(() => {
  const app = (window.explorer ??= {});
  const { node, write, show } = app;
  const LOST_MS = 120_000; // nothing heard for so long: asking again is allowed
  let tickets = 0;

  app.Task = class {
    #send = null;
    #told;
    #asked = null; // {value, ticket, at}
    reply = null; // the newest reply to what is asked for
    cancelled = false;

    /** @param {function} told called whenever something has changed */
    constructor(told) {
      this.#told = told;
    }

    connect(send) {
      this.#send = send;
    }

    get busy() {
      return Boolean(this.#asked) && performance.now() - this.#asked.at < LOST_MS;
    }

    /** Ask; what was under way is dropped. Every question names its case. */
    ask(value) {
      this.forget();
      this.#asked = { value, ticket: ++tickets, at: performance.now() };
      this.#send?.({ ...value, ticket: tickets }, true);
      this.#told();
    }

    /** Stop what is under way. */
    cancel() {
      if (!this.busy) return;
      this.#send?.({ case: this.#asked.value.case, ticket: ++tickets }, false);
      this.#asked = null;
      this.cancelled = true;
      this.#told();
    }

    /** Another case, or another question, is looked at. */
    forget() {
      if (this.busy) this.cancel();
      this.#asked = this.reply = null;
      this.cancelled = false;
    }

    receive(value) {
      if (!value || this.#asked?.ticket !== value.ticket) return;
      this.#asked.at = performance.now();
      this.reply = { ...value, asked: this.#asked.value };
      if (value.done) this.#asked = null;
      this.#told();
    }
  };

  /** A button that starts a task, one that cancels it, a bar, and a line that says how far it is. */
  app.taskBar = (task, label, id, start) => {
    const go = node("button", { type: "button", class: "vt-ask", id: `vt-${id}-go` }, label);
    const cancel = node("button", { type: "button", class: "vt-ask", id: `vt-${id}-cancel` }, "Cancel");
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
      bar.value = done / total;
      const far = `Evaluated ${done} of ${total} …`;
      if (busy) return write(line, done ? far : "Starting …");
      write(line, reply?.error ?? (task.cancelled ? "Cancelled." : sentence));
    };
    return { buttons: [go, cancel], nodes: [bar, line], go, update };
  };

  /** The hidden component that asks, and the one that is told. */
  app.mountTask = (element, props, trigger, name) => {
    app.tasks[name].connect((value, work) => {
      props.value = value;
      trigger("announce");
      if (work) trigger("work");
    });
  };
  app.mountReply = (element, props, watch, name) => {
    watch("value", () => app.tasks[name].receive(props.value));
  };
})();
