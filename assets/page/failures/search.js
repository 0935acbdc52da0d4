/**
 * A search for failures: what it looks for, how far it has come, what it has found. Asks for a few
 * questions at a time until all are looked at; at most one search runs, and of one that was stopped
 * the server stops working, too. Knows nothing of elements, nor how answers are judged.
 */
import { Request } from "../common/request.js";
import { upload } from "./own_pictures.js";

const HANDFUL = 4; // scenes or own questions of one message to the server, which may do fewer

const bySureness = (a, b) =>
  b.sure - a.sure || (a.seed ?? 0) - (b.seed ?? 0) || (a.question < b.question ? -1 : 1);

export class Search {
  #requests = { scenes: new Request(Infinity), pictures: new Request(Infinity) };
  #store;
  #rows = null; // of own pictures: {name, file, question, answer}; null for scenes
  #run = 0; // number of the search, so that one that was stopped uploads nothing more
  running = false;
  isOwn = false; // whether own pictures are looked at next, and not scenes
  sought = null; // {method, budget, against, right, first}: of the hits on the page
  looked = 0;
  wanted = 0;
  hits = [];
  bad = [];
  error = null;
  changed = () => {};

  constructor(store) {
    this.#store = store;
  }

  /** Give the way to the server; kind: scenes or pictures. */
  connect(kind, send) {
    this.#requests[kind].connect(send);
  }

  /** rows: of own pictures; without them so many scenes as are wanted are looked at. */
  start(sought, wanted, rows = null) {
    this.#drop();
    const fresh = { looked: 0, hits: [], bad: [], error: null, running: true };
    Object.assign(this, { sought, wanted: rows?.length ?? wanted }, fresh);
    this.#rows = rows;
    this.#next();
  }

  stop() {
    this.#drop();
    this.changed();
  }

  #drop() {
    this.#run++;
    this.running = false;
    for (const request of Object.values(this.#requests)) if (request.pending) request.cancel({});
  }

  async #next() {
    this.changed();
    const { first, ...how } = this.sought;
    if (this.#rows) return this.#nextPictures(how);
    const count = Math.min(HANDFUL, this.wanted - this.looked);
    this.#requests.scenes.send({ ...how, first: first + this.looked, count });
  }

  async #nextPictures(how) {
    const run = this.#run;
    const batch = this.#rows.slice(this.looked, this.looked + HANDFUL);
    const paths = new Map();
    try {
      for (const { file } of batch) if (!paths.has(file)) paths.set(file, await upload(file));
    } catch (error) {
      if (run === this.#run) this.#end(error.message);
      return;
    }
    if (run !== this.#run) return;
    const rows = batch.map(({ file, name, question, answer }) => {
      return { path: paths.get(file), name, question, answer };
    });
    this.#requests.pictures.send({ ...how, rows });
  }

  #end(error) {
    Object.assign(this, { running: false, error });
    this.changed();
  }

  /** Where it stands in the queue, in words, or "". */
  get waiting() {
    return this.#requests.scenes.waiting || this.#requests.pictures.waiting;
  }

  /** What the model is doing, in words, or "". */
  get stage() {
    return this.#requests.scenes.stage || this.#requests.pictures.stage;
  }

  /** Take in a reply: of a place in the queue, or on what was looked at. */
  receive(kind, reply) {
    if (!reply) return;
    const done = !reply.place;
    if (!this.#requests[kind].receive({ ...reply, done })) return;
    if (!done) return this.changed();
    const found = reply.hits.map((hit) => this.#withPicture(hit));
    this.hits = [...this.hits, ...found].sort(bySureness);
    this.bad = [...this.bad, ...(reply.bad ?? [])];
    this.looked += reply.looked;
    if (!reply.error && this.looked < this.wanted) this.#next();
    else this.#end(reply.error);
  }

  /** A hit of an own picture with that picture, which the server doesn't have any more. */
  #withPicture(hit) {
    if (!this.#rows) return hit;
    const { file, src, answer } = this.#rows[this.looked + hit.row];
    return { ...hit, file, src, answer };
  }

  /** Open a hit in the tab "Explore", with the method and budget that were searched for. */
  async open({ seed, question, file, answer }) {
    const { method, budget } = this.sought;
    const show = { method, budget };
    if (!file) return this.#store.opening.ask({ kind: "scene", seed, question, show });
    const path = await upload(file);
    const told = answer ? { [question]: answer } : {};
    this.#store.opening.ask({ kind: "picture", question, path, told, show }, file);
  }
}
