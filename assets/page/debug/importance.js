/**
 * What an answer rests on: one signed value per patch, in diverging colours. For the whole answer,
 * a word of it that is clicked, or an answer that is typed; by one of several ways.
 */
import { patchPicture } from "../canvas/patch_picture.js";
import { drawSigned, numbers, signed, signedBar } from "../canvas/signed.js";
import { mark, node, show, term, write } from "../common/dom.js";
import { format } from "../common/format.js";
import { taskBar } from "../common/answers/task.js";

const WEAK =
  "The answer hardly depends on the picture: without any of it, it is about as probable. " +
  "The colours are mostly noise.";
const PAINTED =
  "A picture all of one colour is itself a strong signal, and not no picture: these values and " +
  "those of patches removed have no common scale.";
// The word of the glossary that says what a way measures.
const WORDS = { gradients: "integrated gradients", shapley: "shapley" };
/** Which rule for positions was asked for, by the method that was chosen then. */
const positionsInWords = (renumber) =>
  renumber
    ? "While patches are absent, the others are counted anew, as the chosen method does."
    : "While patches are absent, the others keep their positions, as the chosen method does.";

/** f(full) and f(none) in words. */
function worthInWords({ full, none, worth, tokens, way, renumber }) {
  const chance = (f) => format.chance(Math.exp(f));
  const nothing = {
    occlusion: "with the whole picture painted over",
    removed: "without any patch",
    shapley: "without any patch",
  }[way];
  const each = tokens > 1 ? `, ${format.brief(worth / tokens)} per token` : "";
  return (
    `log-probability ${format.brief(full)} with all tokens (${chance(full)}), ` +
    `${format.brief(none)} ${nothing ?? "with every patch replaced"} (${chance(none)}): ` +
    `the picture is worth ${signed(worth)} nats${each}.` +
    (typeof renumber === "boolean" ? ` ${positionsInWords(renumber)}` : "") +
    (way === "occlusion" ? ` ${PAINTED}` : "")
  );
}

function convergenceInWords({ delta, converged, worth }) {
  if (delta === null) return "";
  const share = Math.abs((100 * delta) / (worth || 1));
  return converged
    ? `Convergence delta ${format.brief(delta)}: the colours add up to ${share.toFixed(1)} %.`
    : `Convergence delta ${format.brief(delta)}, ${share.toFixed(0)} % of what the picture is ` +
        "worth: too much to trust single patches.";
}

/** Words of the full answer as buttons, and a line to type another one. */
function targets(task, choose) {
  const words = node("div", { class: "vt-words", role: "group", "aria-label": "What to explain" });
  const typed = node("input", {
    type: "text",
    id: "vt-why-not",
    maxlength: 200,
    placeholder: "why not a cat ?",
    "aria-label": "Another answer to explain",
  });
  const form = node(
    "form",
    {},
    typed,
    node("button", { type: "submit", class: "vt-ask" }, "Explain it"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = typed.value
      .trim()
      .replace(/^why not\s+/i, "")
      .replace(/\s*\?$/, "");
    if (text) choose({ word: null, text });
  });
  let shown = "";
  const update = (answer, target) => {
    const pieces = wordsOf(answer);
    const now = JSON.stringify([pieces, target]);
    if (now === shown) return;
    shown = now;
    const whole = target.word === null && target.text === null;
    const button = (text, value, pressed) => {
      const made = node("button", { type: "button", "aria-pressed": String(pressed) }, text);
      made.addEventListener("click", () => choose(value));
      return made;
    };
    words.replaceChildren(
      button("whole answer", { word: null, text: null }, whole),
      ...pieces.map((text, word) => button(text, { word, text: null }, target.word === word)),
    );
    if (target.text !== null) words.append(button(`“${target.text}”`, target, true));
  };
  return { nodes: [words, form], update };
}

/** Join tokens to words as the server does: a blank begins one. */
function wordsOf(answer) {
  const words = [];
  for (const { text } of answer?.tokens ?? []) {
    if (words.length && !/^\s/.test(text)) words[words.length - 1] += text;
    else words.push(text);
  }
  return words.map((text) => text.trim());
}

/** The panel. ways: {key: words}. */
export function importancePanel(store, task, ways, changed) {
  const state = { id: null, way: "removed", target: { word: null, text: null }, cursor: -1 };
  const choice = node("select", { id: "vt-way", "aria-label": "Way to explain" });
  choice.append(
    ...Object.entries(ways).map(([key, words]) => node("option", { value: key }, words)),
  );
  const ask = () => {
    const { case: kase, method } = store.state; // positions count as that method counts them
    task.ask({ case: kase.id, way: state.way, method, ...state.target });
  };
  const choose = (target) => {
    state.target = target;
    ask();
  };
  choice.addEventListener("change", () => {
    state.way = choice.value;
    ask();
  });
  const what = term("oracle", "what is this?");
  const asks = taskBar(task, "Explain the answer", "attribution", ask);
  const words = targets(task, choose);
  const picture = patchPicture({
    seen: () => ({ kase: store.state.case, view: store.state.view }),
    cursor: (token) => {
      state.cursor = token;
      changed();
    },
  });
  const ramp = signedBar();
  const ids = ["patch", "worth", "delta"].map((part) => `vt-attribution-${part}`);
  const [line, worth, delta] = ids.map((id) =>
    node("p", { class: "vt-small", id }),
  );
  const weak = node("p", { class: "vt-warning", role: "status", id: "vt-attribution-weak" }, WEAK);
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-attribution" },
    node("h2", {}, "What the answer rests on"),
    ...words.nodes,
    node(
      "div",
      { class: "vt-tools" },
      node("div", { class: "vt-select" }, choice),
      what,
      ...asks.buttons,
    ),
    ...asks.nodes,
    picture.node,
    ramp.node,
    line,
    weak,
    worth,
    delta,
  );
  const update = () => {
    const kase = store.state.case;
    if (state.id !== kase.id) {
      Object.assign(state, { id: kase.id, target: { word: null, text: null }, cursor: -1 });
      task.forget();
    }
    const found = task.reply?.found ?? null;
    words.update(store.full, state.target);
    mark(what, "data-term", WORDS[state.way] ?? "oracle");
    asks.update(found ? `Explained: “${found.answer}”.` : "");
    mark(panel, "data-state", task.busy ? "busy" : found ? "done" : null);
    show(weak, Boolean(found?.weak));
    for (const part of [ramp.node, worth, delta, line]) show(part, Boolean(found));
    const values = found ? (found.read ??= numbers(found.values)) : null;
    const label = found ? `What “${found.answer}” rests on` : "The picture, not explained yet";
    picture.update((canvas) => {
      if (values) drawSigned(canvas, kase, store.state.view, values, state.cursor);
      else canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    }, label);
    if (!found) return;
    ramp.update(values);
    write(worth, worthInWords(found));
    write(delta, convergenceInWords(found));
    const { cursor } = state;
    const [, row, column] = kase.grid.place.slice(3 * cursor, 3 * cursor + 3);
    write(
      line,
      cursor >= 0
        ? `row ${row + 1}, column ${column + 1} · ${signed(values[cursor])} nats`
        : "Orange speaks for the answer, blue and hatched against it.",
    );
  };
  return { node: panel, update };
}
