/**
 * The tab "Failures": asks for a few scenes at a time until so many are looked at, shows the hits
 * with those first of which the other was surest, and opens one in "Explore" or "Debug". Knows
 * nothing of how scenes are judged.
 */
import { inbound, openTab, sender } from "../common/bridge.js";
import { mark, node, rootOf, show, write } from "../common/dom.js";
import { tableButton } from "../common/download.js";
import { format } from "../common/format.js";
import { Request } from "../common/request.js";

const HANDFUL = 4; // scenes of one question to the server, which may do fewer
const SCENES = [20, 50, 100, 200];
const HIGHEST = 2 ** 53 - 1000;

const bySureness = (a, b) =>
  b.sure - a.sure || a.seed - b.seed || (a.question < b.question ? -1 : 1);

/**
 * A search: what it looks for, how far it has come, what it has found. At most one runs; replies
 * to one that was stopped are not listened to.
 */
class Search {
  #request = new Request(Infinity);
  #store;
  sought = null; // {method, budget, against, first}: of the hits on the page
  looked = 0;
  wanted = 0;
  hits = [];
  error = null;
  changed = () => {};

  constructor(store) {
    this.#store = store;
  }

  /** Give the way to the server, for a few scenes to look at. */
  connect(find) {
    this.#request.connect(find);
  }

  get running() {
    return this.#request.pending !== null;
  }

  start(sought, wanted) {
    Object.assign(this, { sought, wanted, looked: 0, hits: [], error: null });
    this.#next();
  }

  stop() {
    this.#request.drop();
    this.changed();
  }

  #next() {
    const first = this.sought.first + this.looked;
    const count = Math.min(HANDFUL, this.wanted - this.looked);
    this.#request.send({ ...this.sought, first, count });
    this.changed();
  }

  receive(reply) {
    if (!reply || !this.#request.receive({ ...reply, done: true })) return;
    this.looked += reply.looked;
    this.hits = [...this.hits, ...reply.hits].sort(bySureness);
    this.error = reply.error;
    if (!reply.error && this.looked < this.wanted) this.#next();
    else this.changed();
  }

  open(hit) {
    const { method, budget } = this.sought;
    const { seed, question } = hit;
    this.#store.opening.ask({ kind: "scene", seed, question, show: { method, budget } });
  }
}

function fact(name, text, is) {
  const words = text || "(nothing)";
  return node("span", { "data-is": is, title: words }, node("i", {}, name), ` ${words}`);
}

/** One hit: a large button for "Explore", a small one for "Debug". */
function cardOf(search, hit) {
  const open = (tab) => {
    search.open(hit);
    openTab(tab);
  };
  const card = node(
    "button",
    { type: "button", class: "vt-hit", title: `Open scene ${hit.seed} in Explore` },
    node("img", { src: hit.src, alt: "", loading: "lazy", width: 144, height: 144 }),
    node("b", {}, hit.question),
    fact("right:", hit.truth, "right"),
    fact("said:", hit.wrong, "wrong"),
    node("span", { class: "vt-note" }, `sure ${format.probability(hit.sure)}`),
  );
  card.addEventListener("click", () => open("Explore"));
  const debug = node("button", { type: "button", class: "vt-hit-debug" }, "Debug");
  debug.addEventListener("click", () => open("Debug"));
  return node("article", {}, card, debug);
}

/** What is looked for, in words; before a search that of the tab "Explore". */
function sentence(store) {
  const { method, state } = store;
  if (!method) return "";
  return `Scenes on which ${method.title} at ${state.budget} tokens is wrong, and this is right:`;
}

function statusInWords({ sought, looked, wanted, hits, running, error }, titleOf) {
  if (error) return error;
  if (!sought) return "Three questions about every scene, whose right answers are known.";
  const found = `${hits.length} failure${hits.length === 1 ? "" : "s"}`;
  const end = running ? " …" : looked < wanted ? ", stopped." : ".";
  const other = sought.against === "full" ? "the full model" : titleOf(sought.against);
  const what = `${titleOf(sought.method)} at ${sought.budget} against ${other}`;
  return `${what}: ${looked} of ${wanted} scenes, ${found}${end}`;
}

/** The controls: against whom, how many scenes, from which one on; find and cancel. */
function controls(store, search, value) {
  const options = value.against.map(({ key, title }) => node("option", { value: key }, title));
  const against = node(
    "select",
    { class: "vt-failures-field", id: "vt-against", "aria-label": "Who is right" },
    ...options,
  );
  const many = node("select", {
    class: "vt-failures-field",
    id: "vt-scenes",
    "aria-label": "How many scenes",
  });
  many.append(
    ...SCENES.map((n) => node("option", { value: n, selected: n === 50 }, `${n} scenes`)),
  );
  const first = node("input", {
    class: "vt-failures-field",
    type: "number",
    id: "vt-first",
    min: 0,
    max: HIGHEST,
    step: 1,
  });
  first.value = value.first;
  const find = node("button", { type: "button", class: "vt-ask" }, "Find");
  const cancel = node("button", { type: "button", class: "vt-ask", hidden: true }, "Cancel");
  find.addEventListener("click", () => {
    const { method, budget } = store.state;
    const sought = { method, budget, against: against.value, first: first.valueAsNumber };
    search.start(sought, Number(many.value));
  });
  cancel.addEventListener("click", () => search.stop());
  const label = node("label", { for: "vt-first" }, "from scene ", first);
  const row = node("div", { class: "vt-failures-row" }, against, many, label, find, cancel);
  const update = () => {
    show(find, !search.running);
    show(cancel, search.running);
    const good = Number.isInteger(first.valueAsNumber) && first.validity.valid;
    find.disabled = !store.state.case || !good;
  };
  first.addEventListener("input", update);
  return { node: row, update };
}

/** Mount the tab. Its value is {against, first, reply}: who may be right, first seed, latest reply. */
function mount(store, search, { element, props, watch }) {
  const root = rootOf(element, "vt-failures");
  const titles = new Map(props.value.against.map(({ key, title }) => [key, title]));
  const titleOf = (key) => titles.get(key) ?? key;
  const head = node("p", { class: "vt-failures-head" });
  const tools = controls(store, search, props.value);
  const bar = node("progress", { "aria-label": "Scenes looked at", max: 1, value: 0 });
  const status = node("p", { class: "vt-failures-status", role: "status" });
  const gallery = node("div", { class: "vt-hits" });
  const csv = tableButton("failures", () =>
    search.hits.map(({ src, ...hit }) => ({ ...search.sought, first: undefined, ...hit })),
  );
  root.replaceChildren(head, tools.node, bar, node("div", {}, csv, status), gallery);
  let drawn = null;
  const update = () => {
    write(head, sentence(store));
    tools.update();
    mark(bar, "data-on", search.running ? "" : null);
    bar.value = search.wanted ? search.looked / search.wanted : 0;
    write(status, statusInWords(search, titleOf));
    mark(status, "data-error", search.error ? "" : null);
    show(csv, search.hits.length > 0);
    mark(root, "data-is", search.running ? "busy" : search.sought ? "done" : "waiting");
    if (drawn === search.hits) return;
    drawn = search.hits;
    gallery.replaceChildren(...search.hits.map((hit) => cardOf(search, hit)));
  };
  search.changed = update;
  store.subscribe(() => root.offsetParent !== null && update());
  new IntersectionObserver(update).observe(root);
  inbound({ props, watch }, ({ reply }) => search.receive(reply));
}

/** What Gradio mounts: the tab, and the way out for scenes to look at. */
export function failuresTab(store) {
  const search = new Search(store);
  return {
    search,
    mount: (block) => mount(store, search, block),
    mountRequest: (block) => search.connect(sender(block, "find")),
  };
}
