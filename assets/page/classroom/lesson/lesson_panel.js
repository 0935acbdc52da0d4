/**
 * The lesson as it is seen: a column beside the page (above it on a phone) with the sentences of a
 * step, the guess, and the way on. Knows the player; nothing of how the page shows a state.
 */
import { mark, node, show, write } from "../../common/dom.js";
import { format } from "../../common/format.js";
import { isForThePage } from "../keys.js";
import { optionsOf } from "./guesses.js";
import { patchBrush } from "./patch_brush.js";

const PAINT =
  "Paint on the picture: drag, or move with the arrow keys and press the space bar. Paint again to wipe.";

const button = (label, act, attributes = {}) => {
  const made = node("button", { type: "button", class: "vt-ask", ...attributes }, label);
  made.addEventListener("click", act);
  return made;
};

/** "✓ You said: Yes, it stays." */
function verdictOf({ said, right, truth }, options) {
  const words = (value) => options.find(([key]) => key === value)?.[1] ?? value;
  if (right === undefined) return "The answer is on its way …";
  if (right) return `✓ You said “${words(said)}”, and so it is.`;
  return `✗ You said “${words(said)}”. It is: ${truth.map(words).join(", ") || "none of them"}.`;
}

/** Buttons of which one is the guess. */
function choice(player, guess, options) {
  const list = node("div", { class: "vt-guess-options", role: "group", "aria-label": guess.question });
  const made = options.map(([value, words]) =>
    button(words, () => player.guess(value), { "data-value": value }),
  );
  list.append(...made);
  const update = () => {
    const { guessed } = player;
    for (const each of made) {
      each.disabled = Boolean(guessed);
      mark(each, "data-said", guessed?.said === each.dataset.value ? "" : null);
      mark(each, "data-truth", guessed?.truth?.includes(each.dataset.value) ? "" : null);
    }
    return guessed ? verdictOf(guessed, options) : "";
  };
  return { node: list, update };
}

/** "Most like VisionZip (IoU 0.31), least like Pooling (0.02)." */
function overlapInWords({ said, best, worst }) {
  const one = ({ title, iou }) => `${title} (IoU ${iou.toFixed(2)})`;
  return `At ${said.length} tokens, most like yours: ${best.map(one).join(", ")}. Least: ${one(worst)}.`;
}

function keptInWords({ answer, error, right, said }) {
  if (error) return error;
  if (answer === undefined) return "Asking the model with your patches alone …";
  const patches = said.length === 1 ? "your one patch" : `your ${said.length} patches`;
  return `${right ? "✓" : "✗"} From ${patches} alone the model says “${answer}”.`;
}

/** Patches painted on the picture. */
function patches(player) {
  const count = node("output");
  const done = button("These patches", () => player.guessPatches(), { id: "vt-guess-done" });
  const wipe = button("Wipe", () => player.paint([...player.painted], false));
  const how = node("p", { class: "vt-small" }, PAINT);
  const like = node("p", { class: "vt-small" });
  const row = node("div", { class: "vt-guess-options" }, count, wipe, done);
  const whole = node("div", {}, how, row, like);
  const update = () => {
    const { guessed } = player;
    const { size } = player.painted;
    for (const part of [how, row]) show(part, !guessed);
    write(count, `${size} ${size === 1 ? "patch" : "patches"}`);
    done.disabled = wipe.disabled = !size;
    write(like, guessed ? overlapInWords(guessed) : "");
    return guessed ? keptInWords(guessed) : "";
  };
  return { node: whole, update };
}

/** What was guessed in all, at the end. */
function summary(player) {
  const { lesson, guesses } = player;
  const asked = lesson.steps.flatMap((step, i) => (step.guess ? [[i + 1, step]] : []));
  const made = asked.filter(([number]) => guesses[number]);
  const right = made.filter(([number]) => guesses[number].right);
  const lines = asked.map(([number, { title, guess }]) => {
    const { said, right: is } = guesses[number] ?? {};
    const sign = said === undefined ? "–" : is === undefined ? "?" : is ? "✓" : "✗";
    const more =
      guess.kind === "patches" && said ? `: ${said.length} patches, ${overlapInWords(guesses[number])}` : "";
    return node("li", {}, node("b", {}, sign), ` ${title}${more}`);
  });
  const count =
    `You guessed ${made.length} of ${asked.length} times and were right ${right.length} ` +
    `${right.length === 1 ? "time" : "times"}. Your guesses stay in this tab of your browser.`;
  return [node("p", { id: "vt-lesson-sum" }, count), node("ul", { class: "vt-guesses" }, ...lines)];
}

/** The other lessons, at the end of one. */
function others(player) {
  const rest = player.lessons.filter((each) => each !== player.lesson);
  return rest.map(({ name, title }) => button(title, () => player.open(name), { "data-lesson": name }));
}

/**
 * Put a lesson on its place.
 * @param {HTMLElement} place
 * @param {Store} store
 * @param {LessonPlayer} player
 */
export function lessonPanel(place, store, player) {
  const chooser = node("select", { id: "vt-lesson-name", "aria-label": "Lesson" });
  const leave = button("×", () => player.leave(), {
    id: "vt-lesson-leave",
    "aria-label": "Leave the lesson",
    title: "Leave the lesson (Escape)",
  });
  const where = node("p", { class: "vt-small", id: "vt-lesson-where" });
  const title = node("h2", { id: "vt-lesson-title", tabindex: "-1" });
  const text = node("p", { class: "vt-lesson-text" });
  const question = node("p", { class: "vt-lesson-question" });
  const guess = node("div", { class: "vt-guess" });
  const verdict = node("p", { class: "vt-lesson-verdict" });
  const then = node("p", { class: "vt-lesson-text", id: "vt-lesson-then" });
  const broken = node("p", { class: "vt-remark", id: "vt-lesson-broken" });
  const end = node("div", { id: "vt-lesson-end" });
  const back = button("← Back", () => player.back(), { id: "vt-lesson-back" });
  const next = button("Next →", () => player.next(), { id: "vt-lesson-next" });
  const spoken = node("div", { "aria-live": "polite" }, verdict, then, broken);
  const body = node("div", { class: "vt-lesson-body" }, title, text, question, guess, spoken, end);
  const head = node("div", { class: "vt-lesson-head" }, node("span", { class: "vt-select" }, chooser), leave);
  place.classList.add("vt-panel");
  place.replaceChildren(head, body, node("div", { class: "vt-lesson-way" }, back, where, next));
  let drawn = ""; // the step whose guess is laid out
  let input = null;
  let brush = null;

  chooser.addEventListener("change", () => player.open(chooser.value));
  document.addEventListener("keydown", (event) => {
    if (!player.lesson || !isForThePage(event)) return;
    if (event.key === "ArrowRight") player.next();
    else if (event.key === "ArrowLeft") player.back();
    else if (event.key === "Escape") player.leave();
    else return;
    event.preventDefault();
  });

  function lay(step) {
    const wanted = step?.guess;
    input = null;
    if (wanted) {
      const options = optionsOf(wanted, store);
      input = wanted.kind === "patches" ? patches(player) : choice(player, wanted, options);
    }
    guess.replaceChildren(...(input ? [input.node] : []));
    const again = button("Begin again", () => player.restart());
    const leaving = button("To the page", () => player.leave());
    const ends = player.isSummingUp
      ? [...summary(player), node("div", { class: "vt-guess-options" }, ...others(player), again, leaving)]
      : [];
    end.replaceChildren(...ends);
  }

  const update = () => {
    const { lesson, step, number } = player;
    show(place, lesson !== null);
    mark(document.body, "data-lesson", lesson?.name);
    if (!lesson) {
      brush?.remove();
      brush = null;
      drawn = "";
      return;
    }
    brush ??= patchBrush(store, player);
    if (chooser.options.length !== player.lessons.length) {
      const offered = player.lessons.map((each) => node("option", { value: each.name }, each.title));
      chooser.replaceChildren(...offered);
    }
    if (chooser.value !== lesson.name) chooser.value = lesson.name;
    const { methods = [] } = store.state.case ?? {};
    const now = JSON.stringify([lesson.name, number, methods.length, player.isSummingUp && player.guesses]);
    if (drawn !== now) lay(step);
    drawn = now;
    write(where, step ? `Step ${number} of ${lesson.steps.length}` : "The end");
    write(title, step ? step.title : lesson.title);
    write(text, player.fill(step ? step.text : lesson.about));
    show(question, Boolean(step?.guess));
    write(question, step?.guess ? player.fill(step.guess.question) : "");
    const said = input?.update() ?? "";
    write(verdict, said);
    show(verdict, Boolean(said));
    mark(verdict, "data-right", player.guessed?.right);
    const after = step?.then && !player.waits ? player.fill(step.then) : "";
    write(then, after);
    show(then, Boolean(after));
    write(broken, player.broken);
    show(broken, Boolean(player.broken));
    back.disabled = number <= 1;
    next.disabled = !step;
    write(next, player.waits ? "Skip →" : number === lesson.steps.length ? "Sum up →" : "Next →");
    mark(place, "data-step", number);
    mark(place, "data-ready", player.isReady ? "" : null);
    brush.update();
  };
  player.subscribe(update);
}
