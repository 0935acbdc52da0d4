/**
 * Captions of one picture: what is named that is not there stands in red and underlined in waves,
 * with CHAIR and recall beside it. A click on a named thing asks what the word rests on.
 */
import { patchPicture } from "../canvas/patch_picture.js";
import { drawSigned, numbers, signedBar } from "../canvas/signed.js";
import { mark, node, show, write } from "../common/dom.js";
import { tableButton } from "../common/download.js";
import { format } from "../common/format.js";
import { taskBar } from "../common/answers/task.js";
import { titleIn } from "./probes.js";

const LEGEND =
  "CHAIRi: share of the named things that are not there; CHAIRs: 1 if any is; recall: share of the " +
  "things that are there which are named. Read both together: who says less hallucinates less. " +
  "Places are not judged. A click on a thing shows what the word rests on, with all tokens.";

/** A caption whose things can be clicked. */
function textOf(caption, explain) {
  const parts = [];
  let at = 0;
  for (const mention of caption.mentions) {
    const { start, stop, there, thing } = mention;
    const title = there ? `${thing} is there` : `${thing} is not there: hallucinated`;
    const word = node(
      "button",
      { type: "button", class: "vt-named", "data-there": String(there), title },
      caption.text.slice(start, stop),
    );
    word.addEventListener("click", () => explain(caption, mention));
    parts.push(caption.text.slice(at, start), word);
    at = stop;
  }
  return node("p", { class: "vt-caption" }, ...parts, caption.text.slice(at) || "");
}

/** The full model's first, then each method from many tokens to few. */
function inOrder(reply) {
  const rank = ({ method }) => (method === "full" ? 0 : method === reply.random ? 2 : 1);
  return [...reply.captions].sort((a, b) => rank(a) - rank(b) || b.budget - a.budget);
}

function article(caption, title, explain) {
  const { chair_i: i, chair_s: s, recall, length, budget, verdict_changes: turns } = caption;
  const figures =
    `CHAIRi ${format.probability(i)} · CHAIRs ${s} · recall ${format.probability(recall)} · ` +
    `${length} tokens${turns ? ` · changes its verdict ${turns} times` : ""}`;
  const name = caption.method === "full" ? title : `${title} at ${budget}`;
  return node(
    "article",
    { class: "vt-captioned", "data-method": caption.method, "data-budget": budget },
    node("p", { class: "vt-top" }, node("b", {}, name), node("span", { class: "vt-mark" }, figures)),
    textOf(caption, explain),
  );
}

const tableOf = (reply) =>
  inOrder(reply).map(({ mentions, ...caption }) => ({
    ...caption,
    hallucinated: mentions.filter(({ there }) => !there).map(({ thing }) => thing).join(" "),
  }));

/** The map of a clicked word. */
function wordMap(store, task, state) {
  const picture = patchPicture({
    seen: () => ({ kase: store.state.case, view: store.state.view }),
    cursor: () => {},
  });
  const ramp = signedBar();
  const line = node("p", { class: "vt-small", "aria-live": "polite" });
  const whole = node("div", { class: "vt-word-map" }, picture.node, ramp.node, line);
  const update = () => {
    const { busy, reply } = task;
    show(whole, busy || Boolean(reply));
    if (whole.hidden) return;
    const found = reply?.found ?? null;
    const [done, total] = reply?.progress ?? [0, 1];
    const values = found ? (found.read ??= numbers(found.values)) : null;
    picture.update((canvas) => {
      if (values) drawSigned(canvas, store.state.case, store.state.view, values);
      else canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    }, found ? `What “${found.answer}” rests on` : "The picture, not explained yet");
    show(ramp.node, Boolean(found));
    if (values) ramp.update(values);
    const chance = (f) => format.chance(Math.exp(f));
    const sentence = found
      ? `“${found.answer}” has ${chance(found.full)} there with all tokens, ` +
        `${chance(found.none)} without any.` +
        (found.weak ? " It hardly depends on the picture: the colours are mostly noise." : "")
      : (reply?.error ?? `Looking at what “${state.word}” rests on: ${done} of ${total} …`);
    write(line, sentence);
    mark(whole, "data-is", busy ? "busy" : "done");
  };
  return { node: whole, update };
}

/** The panel. things: what the visitor has typed beside the probes. */
export function captionPanel(store, tasks, things, changed) {
  const { captions: task, word } = tasks;
  const state = { word: "" };
  const ask = () => {
    const { case: kase, method } = store.state;
    word.forget();
    task.ask({ case: kase.id, method, there: things.there });
  };
  const explain = (caption, mention) => {
    const { case: kase } = store.state;
    const { method } = task.reply.message;
    state.word = caption.text.slice(mention.start, mention.stop);
    const { word: first, words } = mention;
    word.ask({ case: kase.id, method, text: caption.text, word: first, words });
    changed();
  };
  const asks = taskBar(task, "Describe", "captions", ask);
  const map = wordMap(store, word, state);
  const list = node("div", { class: "vt-captions" });
  const csv = tableButton("captions", () => tableOf(task.reply));
  const found = node(
    "div",
    { class: "vt-effects-two" },
    node("div", {}, list, node("p", { class: "vt-small" }, LEGEND), csv),
    map.node,
  );
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-captions" },
    node("h2", {}, "Describe the picture"),
    node("div", { class: "vt-tools" }, ...asks.buttons),
    ...asks.nodes,
    found,
  );
  let drawn = null;
  const update = () => {
    const { case: kase } = store.state;
    const reply = task.reply;
    write(asks.go, `Let all tokens, ${store.method?.title ?? ""} and random describe it`);
    asks.update("");
    const many = reply?.captions?.length ?? 0;
    show(found, many > 0);
    map.update();
    mark(panel, "data-captions", many);
    mark(panel, "data-is", task.busy ? "busy" : many ? "done" : "waiting");
    const now = `${reply?.ticket} ${many}`;
    if (!many || now === drawn) return;
    drawn = now;
    const titleOf = (key) =>
      ({ full: "All tokens", [reply.random]: reply.random_title })[key] ?? titleIn(kase, key);
    list.replaceChildren(
      ...inOrder(reply).map((caption) => article(caption, titleOf(caption.method), explain)),
    );
  };
  return { node: panel, update };
}
