/**
 * The head of the tab "Debug": question, right answer and the two answers, and one button that asks
 * why it failed. Steps come in one by one; at the end stands a verdict with its evidence folded
 * below. Knows nothing of how the steps are worked out.
 */
import { mark, node, show, write } from "../common/dom.js";
import { taskBar } from "../common/answers/task.js";
import { lossRow, wordLosses } from "./word_losses.js";

const SIGNS = { yes: "✓ yes", no: "✗ no", skipped: "not asked", running: "…", waiting: "", told: "" };

const EIGHT_QUESTIONS = "Asks eight questions, one after the other; takes a few seconds.";
const NOTHING_FAILED =
  "This answer has not failed. Fewer tokens or another method may lose it: choose them in Explore.";

const stateOf = (step, running) => {
  if (!step) return running ? "running" : "waiting";
  if (!step.asked) return "skipped";
  return step.holds === null ? "told" : step.holds ? "yes" : "no";
};

/** "✓ right", "✗ wrong, changed" of an answer, as far as it is known. */
function judged(answer, full = false) {
  if (!answer) return "";
  const right = typeof answer.right === "boolean" ? (answer.right ? "✓ right" : "✗ wrong") : "";
  const same = full || typeof answer.same !== "boolean" ? "" : answer.same ? "same" : "changed";
  return [right, same].filter(Boolean).join(", ");
}

/** Whether the pruned answer is known and neither wrong nor another than that of all tokens. */
function isFine({ answer }) {
  return Boolean(answer?.text) && !answer.partial && answer.same === true && answer.right !== false;
}

/** Question, truth and answers. */
function headline(store) {
  const row = (id, name) => {
    const [what, says, is] = [node("dt", {}, name), node("span"), node("span")];
    Object.assign(is, { className: "vt-mark" });
    return { node: node("div", { id }, what, node("dd", {}, says, " ", is)), what, says, is };
  };
  const rows = {
    question: row("vt-head-question", "Question"),
    truth: row("vt-head-truth", "Right answer"),
    full: row("vt-head-full", "All tokens"),
    pruned: row("vt-head-pruned", ""),
  };
  const whole = node(
    "dl",
    { class: "vt-facts" },
    ...Object.values(rows).map((each) => each.node),
  );
  const update = () => {
    const { case: kase, budget } = store.state;
    const { full } = store;
    const { answer, is } = store.answers.pruned;
    const pruned = answer?.error ? null : answer;
    write(rows.question.says, kase.question);
    write(rows.truth.says, kase.truth || "nobody has said it; the full answer stands in for it");
    mark(rows.truth.node, "data-known", kase.truth ? "" : null);
    write(rows.full.says, full?.text || "…");
    write(rows.full.is, judged(full, true));
    write(rows.pruned.what, `${store.method.title}, ${budget} tokens`);
    write(rows.pruned.says, pruned?.text || (is === "failed" ? answer.error : "…"));
    write(rows.pruned.is, judged(pruned));
    for (const [each, found] of [
      [rows.full, full],
      [rows.pruned, pruned],
    ]) {
      const right = found?.right;
      mark(each.node, "data-right", typeof right === "boolean" ? right : null);
    }
  };
  return { node: whole, update };
}

/** The list of steps; those that have not come yet stand there as questions. */
function stepList(steps) {
  const items = steps.map(({ key, question }) => {
    const [finding, sign] = [node("p", { class: "vt-finding" }), node("span", { class: "vt-sign" })];
    const runs = node("ul", { class: "vt-runs" });
    const item = node("li", { "data-key": key }, node("b", {}, question), " ", sign, finding, runs);
    return { key, item, finding, sign, runs };
  });
  const list = node("ol", { class: "vt-questions" }, ...items.map(({ item }) => item));
  const update = (found, at) => {
    const told = new Map(found.map((step) => [step.key, step]));
    for (const { key, item, finding, sign, runs } of items) {
      const step = told.get(key);
      const is = stateOf(step, key === at);
      mark(item, "data-is", is);
      mark(item, "aria-current", is === "running" ? "step" : null);
      write(sign, SIGNS[is]);
      write(finding, step?.finding ?? "");
      const several = (step?.runs ?? []).length > 1 ? step.runs : [];
      if (runs.childElementCount !== several.length) {
        const judgement = (right) => (right === null ? "" : right ? " ✓" : " ✗");
        runs.replaceChildren(
          ...several.map(({ run, text, right }) =>
            node("li", { "data-right": right }, `${run}: ${text || "nothing"}${judgement(right)}`),
          ),
        );
      }
    }
  };
  return { node: list, update };
}

/** What each word loses: as the diagnosis has told, or before, of the answer on the page. */
function lossesOf(store, steps) {
  const told = steps.find(({ words }) => words.length)?.words;
  return told ?? wordLosses(store.full, store.answers.pruned.answer);
}

/** The panel. steps: [{key, question}] in their order. */
export function diagnosisPanel(store, task, steps) {
  const head = headline(store);
  const losses = lossRow();
  const ask = () => {
    const { case: kase, method, budget } = store.state;
    task.ask({ case: kase.id, method, budget });
  };
  const asks = taskBar(task, "Why did it fail?", "diagnosis", ask);
  const verdict = node("p", { class: "vt-why", role: "status", id: "vt-verdict" });
  const list = stepList(steps);
  const summary = node("summary", {}, "Evidence, step by step");
  const evidence = node("details", { id: "vt-evidence" }, summary, list.node);
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-diagnosis" },
    node("h2", {}, "This answer"),
    head.node,
    losses.node,
    node("div", { class: "vt-tools" }, ...asks.buttons),
    ...asks.nodes,
    verdict,
    evidence,
  );
  let wasBusy = false;
  const update = () => {
    const { case: kase, method, budget } = store.state;
    const about = task.message;
    const other =
      about && (about.case !== kase.id || about.method !== method || about.budget !== budget);
    if (other) task.forget();
    const { reply, busy } = task;
    const found = reply?.found ?? null;
    head.update();
    losses.update(lossesOf(store, found?.steps ?? reply?.steps ?? []));
    const fine = isFine(store.answers.pruned);
    write(asks.go, fine ? "Is anything wrong?" : "Why did it fail?");
    asks.update(found ? "" : fine ? NOTHING_FAILED : EIGHT_QUESTIONS);
    list.update(found?.steps ?? reply?.steps ?? [], busy ? reply?.at : null);
    show(verdict, Boolean(found));
    write(verdict, found?.sentence ?? "");
    mark(panel, "data-verdict", found?.verdict ?? null);
    mark(panel, "data-state", busy ? "busy" : found ? "done" : null);
    show(evidence, busy || Boolean(reply?.steps));
    if (busy !== wasBusy) evidence.open = busy; // told while it goes on, folded afterwards
    wasBusy = busy;
  };
  const patches = () => task.reply?.found?.patches ?? [];
  return { node: panel, update, patches };
}
