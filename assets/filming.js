/**
 * What the tab "Video" looks at, and when it asks: one budget over all frames, QuoTA's exponent and
 * version, and one method that chooses among the tokens of all frames. Dragging never asks; a hand
 * that rests does, once. Knows nothing of elements.
 *
 * @typedef {Object} Film what the server sends (explorer/film_payload.py)
 * @property {string} id
 * @property {string} model its title
 * @property {string} question
 * @property {string} said how many frames of how long a video
 * @property {string[]} notes
 * @property {?string} sheet the contact sheet, where all frames lie on one picture
 * @property {{src: string, number: number, second: number, score: number, view: number}[]} frames F
 *   of them; view: a pair of frames may share its tokens
 * @property {string[]} things what every frame was asked for, and who named it
 * @property {number[]} budgets B of them; at each the tables have
 * @property {{alpha: number, v1: string, v2: string}} tables u8[B, V, 2] rows and columns of a grid
 * @property {Object} grid as of a case, with a view per frame, or per pair: V of them
 * @property {string} first the method to begin with
 * @property {Object[]} offered the methods that there are: key, title, where, baseline
 * @property {Object} full the answer from all tokens
 */
(() => {
  const app = (window.explorer ??= {});
  const LOST_MS = 60_000; // nothing heard for so long: asking again is allowed
  const FIRST_SHARE = 1 / 3;

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  app.Filming = class extends app.Resting {
    state = { budget: 0, alpha: 2, version: "v1", method: "" };
    film = null;
    error = "";
    #kase = null; // the union of all frames' tokens, as a case of payload.js
    #tables = new Map(); // "alpha" -> {v1, v2}
    #answers = new Map();
    #asked = null; // {key, ticket, at}: the question that waits for its answers
    #ticket = 0;
    #send = null;
    #listeners = [];
    #queued = false;

    subscribe(draw) {
      this.#listeners.push(draw);
      this.changed();
    }

    connect(send) {
      this.#send = send;
      this.settle();
    }

    changed() {
      if (this.#queued) return;
      this.#queued = true;
      requestAnimationFrame(() => {
        this.#queued = false;
        const start = performance.now();
        for (const draw of this.#listeners) draw();
        app.lastFilmMs = performance.now() - start;
      });
    }

    open(film) {
      if (!film) return;
      const { n } = film.grid;
      const same = this.film?.grid.n === n;
      if (this.film?.model !== film.model) this.state.method = film.first;
      this.film = film;
      this.error = "";
      this.#kase = app.readCase({ ...film, methods: [] });
      this.#tables = new Map([[film.tables.alpha, this.#read(film.tables)]]);
      this.#answers.clear();
      this.#asked = null;
      if (!same) this.state.budget = Math.round(FIRST_SHARE * n);
      this.settle();
      this.changed();
    }

    #read = ({ v1, v2 }) => ({ v1: bytes(v1), v2: bytes(v2) });

    set(patch) {
      Object.assign(this.state, patch);
      this.error = "";
      this.later();
    }

    /** Rows and columns of every view's grid; null while they are being worked out. */
    get grids() {
      const { film, state } = this;
      const table = this.#tables.get(state.alpha)?.[state.version];
      if (!table) return null;
      const { budgets } = film;
      const { views } = film.grid;
      let row = budgets.findIndex((budget) => budget >= state.budget);
      if (row < 0) row = budgets.length - 1;
      if (budgets[row] > state.budget && row) row--;
      const at = 2 * views.length * row;
      return views.map((_, v) => [table[at + 2 * v], table[at + 2 * v + 1]]);
    }

    get method() {
      return this.#kase?.methods.find(({ key }) => key === this.state.method) ?? null;
    }

    get kase() {
      return this.#kase;
    }

    /** What the chosen method keeps, at the budget that it can show. */
    get choice() {
      const { method } = this;
      if (!method) return null;
      return app.choice(this.#kase, method, app.snap(this.#kase, method, this.state.budget));
    }

    get #quotaKey() {
      const { budget, alpha, version } = this.state;
      return JSON.stringify(["quota", budget, alpha, version]);
    }

    get #otherKey() {
      return JSON.stringify([this.state.method, this.choice?.budget ?? null]);
    }

    get quota() {
      return this.#answers.get(this.#quotaKey) ?? null;
    }

    get other() {
      return this.#answers.get(this.#otherKey) ?? null;
    }

    get busy() {
      return this.#asked !== null;
    }

    settle() {
      this.rested();
      const { film, state } = this;
      if (!film || this.held || !this.#send || this.error) return;
      const tables = !this.#tables.has(state.alpha);
      const map = !this.method;
      if (!tables && !map && this.quota && this.other) return;
      const key = JSON.stringify([film.id, state, map]);
      if (this.#asked?.key === key && performance.now() - this.#asked.at < LOST_MS) return;
      this.#asked = { key, ticket: ++this.#ticket, at: performance.now() };
      const at = this.choice?.budget ?? null;
      this.#send({ film: film.id, ...state, tables, map, at, ticket: this.#ticket });
      this.changed();
    }

    /** Take in a reply: {film, ticket, alpha, version, budget, tables?, map?, quota?, other?}. */
    receive(told) {
      const { film } = this;
      if (!film || told?.film !== film.id) return;
      if (told.tables) this.#tables.set(told.tables.alpha, this.#read(told.tables));
      const known = ({ key }) => key === told.map.key;
      if (told.map && !this.#kase.methods.some(known)) this.#kase.methods.push(told.map);
      const { budget, alpha, version, quota, other } = told;
      if (quota) this.#answers.set(JSON.stringify(["quota", budget, alpha, version]), quota);
      if (other) this.#answers.set(JSON.stringify([other.method, other.budget]), other);
      if (this.#asked?.ticket === told.ticket) {
        this.error = told.error ?? "";
        if (told.done) {
          this.#asked = null;
          this.settle(); // a method's map has come: now its answer
        }
      }
      this.changed();
    }
  };

  app.filming = new app.Filming();

  /** The hidden component that carries a question; everything stands in its value. */
  app.mountFilmAsking = (element, props, trigger) => {
    app.filming.connect((value) => {
      props.value = value;
      trigger("announce");
      trigger("ask");
    });
  };

  /** The hidden component that brings replies. */
  app.mountFilmReply = (element, props, watch) => {
    watch("value", () => app.filming.receive(props.value));
  };
})();
