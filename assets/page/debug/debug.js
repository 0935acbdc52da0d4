/**
 * The tab "Debug": puts its parts together. Why an answer failed, and to look closer: patches picked
 * by hand with the answer beside them, what broke it, what it rests on, and scores on trial.
 */
import { announcer, inbound, valueOf } from "../common/bridge.js";
import { mark, node, rootOf, show, write } from "../common/dom.js";
import { format } from "../common/format.js";
import { Observable } from "../common/observable.js";
import { diagnosisPanel } from "./diagnosis.js";
import { importancePanel } from "./importance.js";
import { Picking } from "./picking.js";
import { regionPart } from "./region.js";
import { evaluationPanel } from "./score_evaluation.js";
import { pickStage } from "./stage.js";
import { Task, taskBar } from "../common/answers/task.js";

const SPEAK_MS = 400;
/** One answer: what was said, whether it is right, and how likely the full one is. */
function answerCard(title, id) {
  const [name, is, verdict] = ["span", "span", "span"].map((tag) => node(tag));
  Object.assign(is, { className: "vt-is" });
  Object.assign(verdict, { className: "vt-mark" });
  write(name, title);
  const [text, chance] = [node("p", { class: "vt-answer" }), node("p", { class: "vt-small" })];
  const top = node("p", { class: "vt-top" }, name, is, verdict);
  const card = node("article", { class: "vt-answer-card", id }, top, text, chance);
  const update = (answer, { busy = false, error = "", full = false } = {}) => {
    const same = full ? null : answer?.same;
    const { right } = answer ?? {};
    const agreement = same === null || !answer ? "" : same ? "same" : "changed";
    const truth = typeof right === "boolean" ? (right ? "✓ right" : "✗ wrong") : "";
    const parts = [truth, agreement].filter(Boolean);
    write(is, busy ? "computing …" : "");
    write(verdict, parts.join(", "));
    const tone = typeof right === "boolean" ? (right ? "right" : "wrong") : null;
    mark(card, "data-verdict", tone ?? (same === false ? "changed" : null));
    mark(card, "data-state", busy ? "computing" : answer ? "computed" : null);
    write(text, error || answer?.text || (answer ? "" : "…"));
    mark(text, "data-long", (answer?.text ?? error).length > 48 ? "" : null);
    const p = answer?.p_full;
    write(chance, typeof p === "number" ? `the full answer has ${format.chance(p)}` : "");
  };
  return { node: card, update };
}

/** How much of each object of a scene lies under kept patches. */
function boxes() {
  const list = node("ul", { class: "vt-things", id: "vt-things" });
  const title = node("p", { class: "vt-small" }, "Share of each object's box that is kept:");
  const whole = node("div", {}, title, list);
  const update = (things) => {
    show(whole, Boolean(things?.length));
    const rows = (things ?? []).map(({ name, share }) => {
      const bar = node("i", { style: `width: ${100 * share}%` });
      const words = node("span", {}, name);
      const track = node("span", { class: "vt-likelihood" }, bar);
      return node("li", { "data-share": share }, words, track, format.percent(share, 1));
    });
    list.replaceChildren(...rows);
  };
  return { node: whole, update };
}

/** Undo, redo, invert and the like. */
function tools(picking) {
  const button = (id, text, does, title) => {
    const made = node("button", { type: "button", class: "vt-ask", id: `vt-${id}`, title }, text);
    made.addEventListener("click", does);
    return made;
  };
  const undo = button("undo", "Undo", () => picking.undo(), "Ctrl+Z");
  const redo = button("redo", "Redo", () => picking.redo(), "Ctrl+Y");
  const invert = button("invert", "Invert", () => picking.invert(), "I");
  const all = button("keep-all", "Keep all", () => picking.keepAll());
  const start = button("start", "Start again", () => picking.start());
  const update = () => {
    undo.disabled = !picking.undoable;
    redo.disabled = !picking.redoable;
    const { title, budget } = picking.source;
    write(start, `Start from ${title} at ${budget}`);
  };
  return { nodes: [undo, redo, invert, all, start], update };
}

/** Where the set comes from, and what is different from the method's own run. */
function sourceInWords({ title, budget, inside, merges }, edited) {
  const words = edited ? "changed by hand, first" : "as kept by";
  const differs = inside
    ? " It drops inside the language model; here the same patches go before it."
    : merges
      ? " It also merges patches; here those are dropped."
      : "";
  return `${words} ${title} at ${budget}.${differs}`;
}

/** What the search for the culprits found. */
function verdictInWords({ wanted, returned, after, p_before, p_after }, most) {
  const p = `(${format.chance(p_before)} before, ${format.chance(p_after)} after)`;
  if (after && !returned.length) return `Nothing is broken: the answer is “${wanted}” already.`;
  if (after) {
    const many = returned.length === 1 ? "patch" : `${returned.length} patches`;
    return `The return of ${many} restores “${wanted}” ${p}. Outlined on the picture.`;
  }
  return `No set of up to ${most} dropped patches that was tried restores “${wanted}” ` + `${p}.`;
}

/** The part that looks for dropped patches which broke the answer. */
function culprits(store, picking, task, most) {
  const truth = node("input", { type: "checkbox" });
  const label = node("label", {}, truth, " look for the right answer instead");
  const start = () => {
    const { case: kase } = store.state;
    const { method } = picking.source;
    const wanted = truth.checked && !label.hidden;
    task.ask({ case: kase.id, kept: picking.tokens, method, truth: wanted });
  };
  const asks = taskBar(task, "What broke it?", "restoration", start);
  const back = node(
    "button",
    { type: "button", class: "vt-ask", id: "vt-put-back" },
    "Put them back",
  );
  const shown = () => {
    const found = task.reply?.found;
    const here = found && String(found.kept) === String(picking.tokens);
    return here ? found : null;
  };
  back.addEventListener("click", () => picking.change(shown()?.returned ?? [], 1));
  const panel = node(
    "div",
    { class: "vt-restoration", id: "vt-restoration" },
    node("div", { class: "vt-tools" }, ...asks.buttons, back, label),
    ...asks.nodes,
  );
  const update = () => {
    const found = shown();
    const { full } = store;
    const { grid, truth: known } = store.state.case;
    asks.update(found ? verdictInWords(found, most) : "");
    asks.go.disabled = picking.count === 0 || picking.count === grid.n;
    show(back, Boolean(found?.after && found.returned.length));
    show(label, Boolean(known) && full?.right === false);
    mark(panel, "data-state", task.busy ? "busy" : found ? "done" : null);
    mark(panel, "data-returned", found ? found.returned.join(" ") : null);
  };
  const returned = () => (shown()?.after ? shown().returned : []);
  return { node: panel, update, returned };
}

/** The first panel: picture, tools and answers. */
function pickPanel(store, picking, tasks, most) {
  const restoration = culprits(store, picking, tasks.restoration, most);
  const stage = pickStage(store, picking, restoration.returned);
  const hand = tools(picking);
  const count = node("output", { class: "vt-number", id: "vt-pick-count" });
  const share = node("span", { class: "vt-share" });
  const source = node("p", { class: "vt-small" });
  const spoken = node("p", { class: "vt-spoken", "aria-live": "polite", id: "vt-pick-live" });
  const full = answerCard("all tokens", "vt-debug-full");
  const picked = answerCard("picked patches", "vt-picked");
  const things = boxes();
  const left = node(
    "div",
    {},
    node("div", { class: "vt-tools" }, ...stage.tools),
    stage.frame,
    node("div", { class: "vt-tools" }, ...hand.nodes),
    stage.line,
  );
  const right = node(
    "div",
    { class: "vt-debug-answers" },
    node("p", { class: "vt-row" }, count, share),
    source,
    full.node,
    picked.node,
    things.node,
    restoration.node,
    spoken,
  );
  const body = node("div", { class: "vt-debug-pick" }, left, right);
  const panel = node(
    "section",
    { class: "vt-panel" },
    node("h2", {}, "Patches picked by hand"),
    body,
  );
  let speak = 0;
  const update = () => {
    const { n } = store.state.case.grid;
    const { known } = picking;
    stage.update();
    hand.update();
    write(count, String(picking.count));
    write(share, `of ${format.count(n)} patches kept`);
    write(source, sourceInWords(picking.source, picking.edited));
    full.update(store.full, { full: true });
    const none = picking.count === 0;
    const error = none ? "Keep at least one patch." : (known?.error ?? "");
    picked.update(known?.answer ?? null, { busy: !none && !known, error });
    things.update(none ? null : (known ?? tasks.pick.reply)?.things);
    restoration.update();
    const agreement = known?.answer?.same ? "unchanged" : "changed";
    const words = known?.answer ? `, answer ${agreement}: ${known.answer.text}` : "";
    clearTimeout(speak);
    speak = setTimeout(() => write(spoken, `${picking.count} of ${n} kept${words}`), SPEAK_MS);
  };
  return { node: panel, update };
}

function openingInWords({ state, opening }) {
  const question = state.pending?.question ?? opening.pending?.question;
  return `Opening ${question ? `“${question}”` : "another picture"} …`;
}

/** Mount the tab. Its value is {ways: {key: words}, most, steps: [{key, question}]}. */
function mount(store, { page, picking, tasks }, block) {
  const root = rootOf(block.element, "vt-debug");
  const { ways, most, steps } = valueOf(block);
  const diagnosis = diagnosisPanel(store, tasks.diagnosis, steps);
  const tools = [
    pickPanel(store, picking, tasks, most),
    importancePanel(store, tasks.attribution, ways, () => page.changed()),
    evaluationPanel(store, tasks.trial),
  ];
  const closer = node(
    "details",
    { open: true },
    node("summary", {}, "Look closer: patches by hand, what the answer rests on, scores on trial"),
    node("div", { class: "vt-debug-tools" }, ...tools.map((part) => part.node)),
  );
  closer.addEventListener("toggle", () => page.changed());
  const parts = [diagnosis, { node: closer, update: () => tools.forEach((tool) => tool.update()) }];
  const coming = node("p", { class: "vt-empty", role: "status", hidden: true });
  root.replaceChildren(coming, ...parts.map((part) => part.node));
  page.subscribe(() => {
    const kase = store.state.case;
    if (!kase || !store.choice || root.offsetParent === null) return;
    const { isOpening } = store; // what is begun now would be about the case that goes
    write(coming, isOpening ? openingInWords(store) : "");
    show(coming, isOpening);
    for (const part of parts) show(part.node, !isOpening);
    mark(root, "data-opening", isOpening ? "" : null);
    if (isOpening) return;
    picking.follow();
    for (const part of parts) part.update();
    mark(root, "data-case", kase.id);
    mark(root, "data-kept", picking.count);
    mark(root, "data-picked", picking.known ? "known" : "waiting");
  });
  store.subscribe(() => page.changed());
  new IntersectionObserver(() => page.changed()).observe(root);
}

/** What Gradio mounts: the tab, and for every task, by its name, the ways out and back. */
export function debugTab(store) {
  const page = new Observable("debug");
  const changed = () => page.changed();
  const pick = new Task(() => {
    picking.receive();
    changed();
  });
  const picking = new Picking(store, pick, changed);
  const others = Array.from({ length: 4 }, () => new Task(changed));
  const [diagnosis, attribution, restoration, trial] = others;
  const tasks = { pick, diagnosis, attribution, restoration, trial };
  return {
    picking,
    region: regionPart(store),
    mount: (block) => mount(store, { page, picking, tasks }, block),
    mountRequest: (block, name) => tasks[name].connect(announcer(block, "work")),
    mountReply: (block, name) => inbound(block, (reply) => tasks[name].receive(reply)),
  };
}
