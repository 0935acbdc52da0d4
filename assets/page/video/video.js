/**
 * The tab "Video": one budget over all frames, the answers, the strip of frames, and what is to be
 * known about it. Puts the parts together and marks the numbers of the last draw for tests.
 */
import { announcer, inbound } from "../common/bridge.js";
import { mark, node, rootOf, segments, show, term, write } from "../common/dom.js";
import { format } from "../common/format.js";
import {
  aboutDominance,
  dominanceTable,
  firstTokenSwitch,
  reading,
} from "../common/dominance_table.js";
import { about } from "./about.js";
import { coherenceTable } from "./coherence.js";
import { frameStrip } from "./frames.js";
import { VideoSelection } from "./selection.js";

const SPEAK_MS = 150;
const STEPS = 8; // the exponent's slider counts in halves: 0, 0.5, ... 4

const used = (grids) => grids.reduce((sum, [rows, columns]) => sum + rows * columns, 0);

function range(id, label, attributes, selection, onInput) {
  const input = node("input", {
    type: "range",
    id,
    class: "vt-range",
    "aria-label": label,
    ...attributes,
  });
  input.addEventListener("pointerdown", () => selection.hold());
  window.addEventListener("pointerup", () => selection.release());
  window.addEventListener("pointercancel", () => selection.release());
  input.addEventListener("input", () => onInput(input.valueAsNumber));
  const place = (value, max, min = 0) => {
    mark(input, "max", max);
    if (input.valueAsNumber !== value) input.value = value;
    input.style.setProperty("--vt-at", (value - min) / Math.max(1, max - min));
  };
  return { input, place };
}

/** The budget, QuoTA's settings and the choice of a method. */
function hand(selection) {
  const number = node("output", { class: "vt-number", id: "vt-video-view-number" });
  const share = node("span", { class: "vt-share" });
  const budget = range(
    "vt-video-view-budget",
    "Budget: visual tokens over all frames",
    { min: 1, step: 1 },
    selection,
    (value) => selection.set({ budget: value }),
  );
  const alpha = range(
    "vt-video-view-alpha",
    "QuoTA's exponent",
    { min: 0, step: 1 },
    selection,
    (value) => selection.set({ alpha: value / 2 }),
  );
  const exponent = node("output", { class: "vt-video-view-exponent" });
  const version = segments(
    "How QuoTA resizes frames",
    [
      ["v1", "v1", "Bilinear; a frame may get more tokens than it had"],
      ["v2", "v2", "Averages; no frame gets more tokens than it had"],
    ],
    (value) => selection.set({ version: value }),
  );
  const method = node("select", { id: "vt-video-view-method", "aria-label": "Method to compare with" });
  method.addEventListener("change", () => selection.set({ method: method.value }));
  let offered = null;

  const update = () => {
    const { video, state } = selection;
    const { n } = video.grid;
    if (offered !== video) {
      offered = video;
      const options = video.offered.map(({ key, title }) => node("option", { value: key }, title));
      method.replaceChildren(...options);
    }
    write(number, format.count(state.budget));
    const per = format.tenths(Math.round((10 * state.budget) / video.frames.length) / 10);
    write(share, `of ${format.count(n)} visual tokens over all frames · ${per} a frame`);
    budget.place(state.budget, n, 1);
    mark(budget.input, "aria-valuetext", `${state.budget} of ${n} visual tokens`);
    alpha.place(2 * state.alpha, STEPS);
    mark(alpha.input, "aria-valuetext", String(state.alpha));
    write(exponent, `α = ${state.alpha}${state.alpha === 0 ? ": even share" : ""}`);
    version.press(state.version);
    if (method.value !== state.method) method.value = state.method;
  };
  const settings = node(
    "div",
    { class: "vt-video-view-settings" },
    node("b", {}, "QuoTA"),
    exponent,
    term("alpha", "what is α?"),
    term("q", "what is q?"),
    alpha.input,
    version.group,
    node("span", { class: "vt-video-view-against" }, "against"),
    node("span", { class: "vt-select" }, method),
  );
  const row = node("div", { class: "vt-row" }, number, share);
  const whole = node("div", { class: "vt-video-view-hand" }, row, budget.input);
  return { nodes: [whole, settings], update };
}

/** One answer: whose it is, from how many tokens, what it says. */
function answerCard(id) {
  const title = node("span");
  const note = node("span", { class: "vt-is" });
  const sign = node("b", { class: "vt-mark" });
  const text = node("p", { class: "vt-answer" });
  const card = node(
    "div",
    { class: "vt-answer-card", id },
    node("div", { class: "vt-top" }, title, note, sign),
    text,
  );
  const update = (name, tokens, answer, full, instead) => {
    write(title, name);
    write(note, tokens);
    const words = answer ? answer.text || "(nothing)" : instead || "…";
    write(text, words);
    mark(text, "data-blank", answer?.text ? null : "");
    mark(text, "data-long", words.length > 60 ? "" : null);
    const same = answer && full && answer.same;
    const right = answer?.right;
    const known = typeof right === "boolean";
    const changed = answer && full && !same; // the card of the full answer is never changed
    const verdict = answer && known ? (right ? "right" : "wrong") : changed ? "changed" : null;
    mark(card, "data-verdict", verdict);
    const parts = [known ? (right ? "✓ right" : "✗ wrong") : ""];
    if (full && answer) parts.push(same ? "= same" : "≠ changed");
    if (full && answer) parts.push(format.chance(answer.p_full ?? 0));
    write(sign, parts.filter(Boolean).join(" · "));
    mark(sign, "title", full ? "p: the probability that this run gives to the full answer" : null);
  };
  return { node: card, update };
}

function answersRow(selection) {
  const [full, quota, other] = ["full", "quota", "other"].map((name) =>
    answerCard(`vt-video-view-${name}`),
  );
  const row = node("div", { class: "vt-video-view-answers" }, full.node, quota.node, other.node);
  const update = () => {
    const { video, grids, choice, state, error, waiting } = selection;
    const { n } = video.grid;
    full.update("All tokens", format.count(n), video.full, null, "");
    quota.update(
      "QuoTA",
      grids ? `${format.count(used(grids))} used of ${format.count(state.budget)}` : "",
      selection.quota,
      video.full,
      error || waiting,
    );
    const title = video.offered.find(({ key }) => key === state.method)?.title ?? "";
    const mean = choice ? `mean ${format.tenths(Math.round(10 * choice.mean) / 10)}` : "";
    const floor = choice && choice.budget > state.budget ? " (its least)" : "";
    other.update(title, mean + floor, selection.other, video.full, error || waiting);
  };
  return { node: row, update };
}

/** MDI and AEI of the three answers: does each listen to words or to frames? */
function listening(selection) {
  const table = dominanceTable([
    ["full", "all tokens"],
    ["quota", "QuoTA"],
    ["other", "the method"],
  ]);
  let first = false;
  const part = node(
    "section",
    { class: "vt-video-view-listening" },
    node("h3", {}, "Does it listen to text or to the frames?"),
    table.node,
    firstTokenSwitch((counted) => {
      first = counted;
      selection.changed();
    }),
    aboutDominance(),
  );
  const update = () => {
    const { video, quota, other, state } = selection;
    const answers = { full: video.full, quota, other };
    const found = Object.entries(answers).map(([key, answer]) => [
      key,
      reading(answer?.dominance, first),
    ]);
    const title = video.offered.find(({ key }) => key === state.method)?.title;
    table.update(Object.fromEntries(found), { other: title });
  };
  return { node: part, update };
}

/** "QuoTA gives 40 of 48 tokens to 2 of 9 frames, answer unchanged." */
function sentence({ grids, quota, state }) {
  if (!grids) return "";
  const seen = grids.filter(([rows]) => rows).length;
  const given = `QuoTA gives ${used(grids)} of ${state.budget} tokens to ${seen} of ${grids.length} frames`;
  const end = quota ? `, answer ${quota.same ? "unchanged" : "changed"}` : "";
  return `${given}${end}.`;
}

/** Mount the tab. Its value is a Video (see selection.js), or null. */
function mount(selection, block) {
  const root = rootOf(block.element, "vt-video-view");
  root.classList.add("vt-panel");
  const empty = node("p", { class: "vt-empty" }, "Choose a video and ask a question.");
  const caption = node("p", { class: "vt-video-view-caption" });
  const spoken = node("p", { class: "vt-spoken", "aria-live": "polite" });
  const parts = [
    hand(selection),
    answersRow(selection),
    frameStrip(selection),
    listening(selection),
    coherenceTable(selection),
  ];
  const more = about();
  const body = node(
    "div",
    { class: "vt-video-view-body", hidden: true },
    caption,
    ...parts.flatMap((part) => part.nodes ?? [part.node]),
    spoken,
    more.node,
  );
  root.replaceChildren(empty, body);
  let speak = 0;
  let next = "";
  selection.subscribe(() => {
    const { video, grids, state } = selection;
    show(empty, !video);
    show(body, Boolean(video));
    if (!video) return;
    const things = video.things.length ? video.things.join(", ") : "nothing named";
    write(
      caption,
      `${video.model} · “${video.question}” · ${video.said} · looked for: ${things} (${video.who})`,
    );
    for (const part of parts) part.update();
    more.update(video);
    const words = selection.error || sentence(selection);
    if (words !== next) {
      next = words;
      clearTimeout(speak); // a moving hand would make a screen reader stumble
      speak = setTimeout(() => write(spoken, words), SPEAK_MS);
    }
    mark(root, "data-video", video.id);
    mark(root, "data-budget", state.budget);
    mark(root, "data-used", grids ? used(grids) : null);
    mark(
      root,
      "data-is",
      selection.quota && selection.other ? "done" : selection.error ? "error" : "busy",
    );
  });
  inbound(block, (video) => selection.open(video));
}

/** What Gradio mounts: the tab, and the ways out and back; all of a message is in its value. */
export function videoTab() {
  const selection = new VideoSelection();
  return {
    selection,
    mount: (block) => mount(selection, block),
    mountTask: (block, name) => selection[name].connect(announcer(block, "work")),
    mountTaskReply: (block, name) => inbound(block, (reply) => selection[name].receive(reply)),
    mountRequest: (block) => selection.connect(announcer(block, "ask")),
    mountReply: (block) => inbound(block, (reply) => selection.receive(reply)),
  };
}
