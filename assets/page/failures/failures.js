/**
 * The tab "Failures": which method and budget, what counts as right and who has to give it; scenes or
 * own pictures; and the hits, those first of which the other was surest. A hit opens in "Explore" or
 * "Debug". Knows nothing of how answers are judged.
 */
import { announcer, inbound, openTab, valueOf } from "../common/bridge.js";
import { mark, node, rootOf, segments, show, write } from "../common/dom.js";
import { tableButton } from "../common/download.js";
import { format } from "../common/format.js";
import { groupedOptions } from "../common/grouping.js";
import { OwnPictures, ownInputs } from "./own_pictures.js";
import { Search } from "./search.js";

const SCENES = [20, 50, 100, 200];
const HIGHEST = 2 ** 53 - 1000;
const SOURCES = [
  ["scenes", "Scenes", "Scenes whose right answers are known"],
  ["own", "Own pictures", "Up to 50 pictures of yours"],
];

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
    { type: "button", class: "vt-hit", title: `Open ${hit.picture || `scene ${hit.seed}`} in Explore` },
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

/** What is looked for, in words. */
const sentence = ({ title, budget }, own) =>
  `${own ? "Pictures" : "Scenes"} on which ${title} at ${budget} tokens is wrong, and this is right:`;

function statusInWords(search, { titleOf, rightOf }) {
  const { sought, looked, wanted, hits, bad, running, error, waiting, stage } = search;
  if (error) return error;
  if (!sought) return "Three questions about every scene, whose right answers are known.";
  const found = `${hits.length} failure${hits.length === 1 ? "" : "s"}`;
  const place = waiting ? ` (${waiting})` : "";
  const now = stage ? ` · ${stage}` : "";
  const end = running ? ` …${place}${now}` : looked < wanted ? ", stopped." : ".";
  const other = sought.against === "full" ? "all tokens" : titleOf(sought.against);
  const right = sought.right === "truth" ? "" : `, right being ${rightOf(sought.right)}`;
  const what = `${titleOf(sought.method)} at ${sought.budget} against ${other}${right}`;
  const things = search.isOwn ? "questions" : "scenes";
  const skipped = bad.length ? ` Skipped: ${bad.join("; ")}` : "";
  return `${what}: ${looked} of ${wanted} ${things}, ${found}${end}${skipped}`;
}

const field = (tag, id, attributes, ...children) =>
  node(tag, { class: "vt-failures-field", id, ...attributes }, ...children);

/** Method and budget: those of the tab "Explore" until a hand has changed them here. */
function methodInputs(store, value, changed) {
  const method = field("select", "vt-failures-method", { "aria-label": "Method" });
  method.append(...groupedOptions(value.methods));
  const budget = field("input", "vt-failures-budget", { type: "number", min: 1, step: 1 });
  const label = node("label", { for: "vt-failures-budget" }, "at ", budget, " tokens");
  let edited = false;
  for (const input of [method, budget]) {
    input.addEventListener("input", () => {
      edited = true;
      changed();
    });
  }
  const follow = () => {
    const { state } = store;
    if (state.case) budget.max = state.case.grid.n;
    if (edited || !state.case) return;
    const known = value.methods.some(({ key }) => key === state.method);
    if (!known) method.append(node("option", { value: state.method }, store.method.title));
    method.value = state.method;
    budget.value = state.budget;
  };
  const chosen = () => ({
    method: method.value,
    title: method.selectedOptions[0]?.textContent.trim() ?? "",
    budget: budget.valueAsNumber,
    good: Number.isInteger(budget.valueAsNumber) && budget.validity.valid,
  });
  return { nodes: [method, label], follow, chosen };
}

/** How many scenes, and from which one on. */
function sceneInputs(value, changed) {
  const many = field("select", "vt-scenes", { "aria-label": "How many scenes" });
  many.append(
    ...SCENES.map((n) => node("option", { value: n, selected: n === 50 }, `${n} scenes`)),
  );
  const first = field("input", "vt-first", { type: "number", min: 0, max: HIGHEST, step: 1 });
  first.value = value.first;
  first.addEventListener("input", changed);
  const label = node("label", { for: "vt-first" }, "from scene ", first);
  const chosen = () => ({
    first: first.valueAsNumber,
    many: Number(many.value),
    good: Number.isInteger(first.valueAsNumber) && first.validity.valid,
  });
  return { node: node("div", { class: "vt-failures-row" }, many, label), chosen };
}

/** The controls: what is looked for and where; find and cancel. */
function controls(store, search, own, value) {
  const update = () => {
    methods.follow();
    source.press(search.isOwn ? "own" : "scenes");
    show(scenes.node, !search.isOwn);
    show(pictures.node, search.isOwn);
    pictures.update();
    show(find, !search.running);
    show(cancel, search.running);
    const ready = search.isOwn ? own.rows.length > 0 : scenes.chosen().good;
    find.disabled = !store.state.case || !methods.chosen().good || !ready;
    write(head, sentence(methods.chosen(), search.isOwn));
  };
  const head = node("p", { class: "vt-failures-head" });
  const source = segments("Where to look", SOURCES, (chosen) => {
    search.isOwn = chosen === "own";
    search.changed();
  });
  const methods = methodInputs(store, value, update);
  const right = field("select", "vt-right", { "aria-label": "What counts as right" });
  right.append(
    ...Object.entries(value.right).map(([key, words]) => node("option", { value: key }, words)),
  );
  const against = field("select", "vt-against", { "aria-label": "Who is right" });
  against.append(
    node("option", { value: "full" }, "given with all tokens"),
    ...groupedOptions(value.methods),
  );
  const scenes = sceneInputs(value, update);
  const pictures = ownInputs(own);
  const find = node("button", { type: "button", class: "vt-ask" }, "Find");
  const cancel = node("button", { type: "button", class: "vt-ask", hidden: true }, "Cancel");
  find.addEventListener("click", () => {
    const { method, budget } = methods.chosen();
    const { first, many } = scenes.chosen();
    const sought = { method, budget, against: against.value, right: right.value, first };
    search.start(sought, many, search.isOwn ? own.rows : null);
  });
  cancel.addEventListener("click", () => search.stop());
  const row = (...nodes) => node("div", { class: "vt-failures-row" }, ...nodes);
  const whole = node(
    "div",
    { class: "vt-failures-tools" },
    row(source.group, ...methods.nodes),
    head,
    row(right, against),
    scenes.node,
    pictures.node,
    row(find, cancel),
  );
  return { node: whole, update };
}

/** Mount the tab. Its value is {methods, against, right, first, pictures, reply}. */
function mount(store, search, own, block) {
  const root = rootOf(block.element, "vt-failures");
  const value = valueOf(block);
  const titles = new Map(value.against.map(({ key, title }) => [key, title]));
  const names = {
    titleOf: (key) => titles.get(key) ?? key,
    rightOf: (key) => value.right[key],
  };
  own.most = value.pictures;
  const tools = controls(store, search, own, value);
  const bar = node("progress", { "aria-label": "Questions looked at", max: 1, value: 0 });
  const status = node("p", { class: "vt-failures-status", role: "status", id: "vt-failures-line" });
  const gallery = node("div", { class: "vt-hits" });
  const csv = tableButton("failures", () =>
    search.hits.map(({ src, file, row, ...hit }) => ({
      ...search.sought,
      first: undefined,
      ...hit,
    })),
  );
  root.replaceChildren(tools.node, bar, node("div", {}, csv, status), gallery);
  let drawn = null;
  const update = () => {
    tools.update();
    mark(bar, "data-on", search.running ? "" : null);
    bar.value = search.wanted ? search.looked / search.wanted : 0;
    write(status, statusInWords(search, names));
    mark(status, "data-error", search.error ? "" : null);
    show(csv, search.hits.length > 0);
    mark(root, "data-is", search.running ? "busy" : search.sought ? "done" : "waiting");
    if (drawn === search.hits) return;
    drawn = search.hits;
    gallery.replaceChildren(...search.hits.map((hit) => cardOf(search, hit)));
  };
  search.changed = own.changed = update;
  store.subscribe(() => root.offsetParent !== null && update());
  new IntersectionObserver(update).observe(root);
  inbound(block, ({ reply }) => search.receive("scenes", reply));
}

/** What Gradio mounts: the tab, and the ways out and back for scenes, pictures, and a file of lines. */
export function failuresTab(store) {
  const search = new Search(store);
  const own = new OwnPictures();
  const ways = {
    lines: { connect: (send) => own.connect(send), receive: (reply) => own.receive(reply) },
    pictures: {
      connect: (send) => search.connect("pictures", send),
      receive: (reply) => search.receive("pictures", reply),
    },
  };
  return {
    search,
    mount: (block) => mount(store, search, own, block),
    mountRequest: (block) => search.connect("scenes", announcer(block, "find")),
    mountOwnRequest: (block, name) => ways[name].connect(announcer(block, "judge")),
    mountOwnReply: (block, name) => inbound(block, (reply) => ways[name].receive(reply)),
  };
}
