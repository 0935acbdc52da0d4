/**
 * What the tab "Video" looks at, and when it asks: one budget over all frames, QuoTA's exponent and
 * version, and one method that chooses among the tokens of all frames. Dragging never asks; a hand
 * that rests does, once. Knows nothing of elements.
 *
 * @typedef {Object} Video what the server sends (explorer/ui/payloads/video.py)
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
 * @property {Object[]} cards of the methods that choose by frames: title, source, sentence, equation,
 *   verified, uncertain, traps, headline
 * @property {Object} full the answer from all tokens
 */
import { Task } from "../common/answers/task.js";
import { choiceAt, readCase, snap } from "../common/payload.js";
import { Request } from "../common/request.js";
import { Settling } from "../common/settle.js";

const FIRST_SHARE = 1 / 3;

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

export class VideoSelection extends Settling {
  state = { budget: 0, alpha: 2, version: "v1", method: "" };
  video = null;
  error = "";
  coherence = new Task(() => this.changed()); // the same question over fewer frames
  #kase = null; // the union of all frames' tokens, as a case of payload.js
  #tables = new Map(); // "alpha" -> {v1, v2}
  #answers = new Map();
  #request = new Request();
  #asked = ""; // what was looked at when the server was asked last

  constructor() {
    super("video");
  }

  connect(send) {
    this.#request.connect(send);
    this.settle();
  }

  open(video) {
    if (!video) return;
    const { n } = video.grid;
    const same = this.video?.grid.n === n;
    if (this.video?.model !== video.model) this.state.method = video.first;
    this.video = video;
    this.error = "";
    this.#kase = readCase({ ...video, methods: [] });
    this.#tables = new Map([[video.tables.alpha, this.#read(video.tables)]]);
    this.#answers.clear();
    this.#request.drop();
    this.coherence.forget();
    if (!same) this.state.budget = Math.round(FIRST_SHARE * n);
    this.settle();
    this.changed();
  }

  #read = ({ v1, v2 }) => ({ v1: bytes(v1), v2: bytes(v2) });

  set(patch) {
    Object.assign(this.state, patch);
    this.error = "";
    this.schedule();
  }

  /** Rows and columns of every view's grid; null while they are being worked out. */
  get grids() {
    const { video, state } = this;
    const table = this.#tables.get(state.alpha)?.[state.version];
    if (!table) return null;
    const { budgets } = video;
    const { views } = video.grid;
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
    return choiceAt(this.#kase, method, snap(this.#kase, method, this.state.budget));
  }

  /** Ask the same about fewer frames, at the budget and by the method that are chosen. */
  askFewer() {
    const { budget, method } = this.state;
    this.coherence.ask({ film: this.video.id, budget, method });
  }

  get #quotaKey() {
    const { budget, alpha, version } = this.state;
    return JSON.stringify(["quota", budget, alpha, version]);
  }

  get #otherKey() {
    return JSON.stringify([this.state.method, this.choice?.budget ?? null]);
  }

  get busy() {
    return this.#request.busy;
  }

  /** Where the question stands in the queue, or what the model is doing, in words, or "". */
  get waiting() {
    return this.#request.waiting || this.#request.stage;
  }

  get quota() {
    return this.#answers.get(this.#quotaKey) ?? null;
  }

  get other() {
    return this.#answers.get(this.#otherKey) ?? null;
  }

  settle() {
    this.unschedule();
    const { video, state } = this;
    if (!video || this.held || !this.#request.connected || this.error) return;
    const tables = !this.#tables.has(state.alpha);
    const map = !this.method;
    if (!tables && !map && this.quota && this.other) return;
    const here = JSON.stringify([video.id, state, map]);
    if (this.#asked === here && this.#request.busy) return;
    this.#asked = here;
    const at = this.choice?.budget ?? null;
    this.#request.send({ film: video.id, ...state, tables, map, at });
    this.changed();
  }

  /** Take in a reply: {film, ticket, alpha, version, budget, tables?, map?, quota?, other?}. */
  receive(reply) {
    const { video } = this;
    if (!video || reply?.film !== video.id) return;
    if (reply.tables) this.#tables.set(reply.tables.alpha, this.#read(reply.tables));
    const known = ({ key }) => key === reply.map.key;
    if (reply.map && !this.#kase.methods.some(known)) this.#kase.methods.push(reply.map);
    const { budget, alpha, version, quota, other } = reply;
    if (quota) this.#answers.set(JSON.stringify(["quota", budget, alpha, version]), quota);
    if (other) this.#answers.set(JSON.stringify([other.method, other.budget]), other);
    if (this.#request.receive(reply)) {
      this.error = reply.error ?? "";
      if (reply.done) this.settle(); // a method's map has come: now its answer
    }
    this.changed();
  }
}
