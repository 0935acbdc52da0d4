/**
 * Tokens leaving the picture, layer by layer: to watch on the page's own picture, to walk through,
 * and to take home as a GIF or an MP4, which the server draws. Moves by itself only where visitors
 * have nothing against motion. Knows kept sets; nothing of answers.
 */
import { deviceScale } from "../../canvas/brush.js";
import { drawOverlay } from "../../canvas/overlay.js";
import { stageScene } from "../../canvas/picture_view.js";
import { download } from "../../common/download.js";
import { mark, node, show, write } from "../../common/dom.js";
import { format } from "../../common/format.js";
import { Request } from "../../common/request.js";

const HOLD_MS = 600; // that a layer is shown
const KINDS = ["gif", "mp4"];

/** The last stage before a layer's end, or null where nothing has left yet; layer 0: before all. */
const stageAt = ({ stages }, layer) => stages.findLast((stage) => stage.layer < layer) ?? null;

const bytesOf = (data) => Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));

export class LayerAnimation {
  #store;
  #place;
  #canvas = node("canvas", { class: "vt-film-canvas", "aria-hidden": "true" });
  #words = node("p", { class: "vt-film-words", "aria-live": "polite" });
  #layers = node("input", { type: "range", min: 0, step: 1, "aria-label": "Layer" });
  #play = node("button", { type: "button", class: "vt-ask" });
  #error = node("p", { class: "vt-error", hidden: true });
  #files = new Map(); // kind -> button
  #request = new Request();
  #layer = 0;
  #timer = null;
  #case = null; // the one that is watched; null: nothing is

  /**
   * @param {Store} store
   * @param {HTMLElement} place of the controls
   */
  constructor(store, place) {
    this.#store = store;
    this.#place = place;
    const close = node("button", { type: "button", class: "vt-ask", "aria-label": "Close" }, "×");
    close.addEventListener("click", () => this.close());
    this.#play.addEventListener("click", () => (this.#timer ? this.#pause() : this.#start()));
    this.#layers.addEventListener("input", () => {
      this.#layer = this.#layers.valueAsNumber;
      this.#pause();
    });
    for (const kind of KINDS) {
      const file = node("button", { type: "button", class: "vt-ask" }, kind.toUpperCase());
      mark(file, "title", `Download this as ${kind.toUpperCase()}, for slides`);
      file.addEventListener("click", () => this.#save(kind));
      this.#files.set(kind, file);
    }
    const row = node("div", { class: "vt-film-row" }, this.#play, this.#layers, ...this.#files.values(), close);
    place.replaceChildren(this.#words, row, this.#error);
    store.subscribe(() => this.#draw());
  }

  /** Give the way to ask for a file: send({case, method, budget, kind}, work). */
  connect(send) {
    this.#request.connect(send);
  }

  toggle() {
    if (this.#case) this.close();
    else this.open();
  }

  open() {
    const frame = document.querySelector("#vt-view");
    this.#case = this.#store.state.case.id;
    frame.append(this.#canvas);
    mark(frame, "data-film", "");
    show(this.#place, true);
    this.#go(0);
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!calm) this.#start();
  }

  close() {
    this.#pause();
    this.#case = null;
    this.#canvas.remove();
    mark(document.querySelector("#vt-view"), "data-film", null);
    show(this.#place, false);
  }

  #start() {
    const { length } = this.#store.choice.layers;
    if (this.#layer >= length) this.#go(0);
    this.#timer = setInterval(() => {
      this.#go(this.#layer + 1);
      if (this.#layer >= this.#store.choice.layers.length) this.#pause();
    }, HOLD_MS);
    this.#draw();
  }

  #pause() {
    clearInterval(this.#timer);
    this.#timer = null;
    this.#draw();
  }

  #go(layer) {
    this.#layer = layer;
    this.#draw();
  }

  #draw() {
    const { state, choice } = this.#store;
    if (!this.#case) return;
    if (state.case.id !== this.#case || state.pending) return this.close();
    const { layers } = choice;
    const { n } = state.case.grid;
    this.#layer = Math.min(this.#layer, layers.length);
    mark(this.#layers, "max", layers.length);
    this.#layers.value = this.#layer;
    this.#layers.style.setProperty("--vt-at", this.#layer / layers.length);
    const alive = this.#layer ? layers[this.#layer - 1] : n;
    const where = this.#layer ? `Layer ${this.#layer} of ${layers.length}` : "The picture";
    const words = `${where}: ${format.count(alive)} of ${format.count(n)} visual tokens`;
    write(this.#words, words);
    mark(this.#layers, "aria-valuetext", words);
    write(this.#play, this.#timer ? "Pause" : "Play");
    for (const file of this.#files.values()) file.disabled = this.#request.busy;
    this.#paint();
  }

  #paint() {
    const { choice } = this.#store;
    const frame = this.#canvas.parentElement;
    const scale = deviceScale();
    const width = Math.round(frame.clientWidth * scale);
    const height = Math.round(frame.clientHeight * scale);
    if (!width || !height) return;
    if (this.#canvas.width !== width || this.#canvas.height !== height)
      Object.assign(this.#canvas, { width, height });
    const stage = stageAt(choice, this.#layer);
    const { scores } = stage ?? choice.stages[0];
    const fate = stage?.fate ?? new Int16Array(scores.score.length);
    const scene = { ...stageScene(this.#store), mode: "kept", fate, groups: stage?.groups, scores };
    drawOverlay(this.#canvas, scene, scale);
  }

  #save(kind) {
    const { state } = this.#store;
    show(this.#error, false);
    const { case: open, method, budget } = state;
    this.#request.send({ case: open.id, method, budget, kind });
    this.#draw();
  }

  /** The server has drawn a file, or says why not. */
  receive(reply) {
    if (!reply || !this.#request.receive(reply)) return;
    if (reply.data) download(reply.name, reply.type, bytesOf(reply.data));
    write(this.#error, reply.error ?? "");
    show(this.#error, Boolean(reply.error));
    this.#draw();
  }
}
