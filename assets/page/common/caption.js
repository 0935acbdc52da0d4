/** The line over a tab of many answers: the question, the full answer and the truth, or what it waits for. */
import { mark, node, show, write } from "./dom.js";

/** The question, the full answer and the truth, where it is known. */
export function captionLine() {
  const [question, full, truth] = ["b", "b", "b"].map((tag) => node(tag));
  const note = node("span", { class: "vt-verdict" });
  const truthLine = node("span", { class: "vt-soft" }, " ground truth ", truth);
  const line = node(
    "p",
    { class: "vt-compare-caption" },
    question,
    node("span", { class: "vt-soft" }, " full answer ", full),
    truthLine,
    note,
  );
  const update = (kase, answer) => {
    write(question, kase.question);
    write(full, answer?.text ?? "…");
    show(truthLine, Boolean(kase.truth));
    write(truth, kase.truth ?? "");
    const right = answer?.right;
    write(note, typeof right !== "boolean" ? "" : right ? " ✓ right" : " ✗ wrong");
    mark(note, "data-right", right === true ? "" : null);
  };
  return { node: line, update };
}

/** What a tab that compares all methods says instead, until there is a case with the maps of all. */
export function waitingLine(selection, root) {
  const line = node("p", { class: "vt-empty", role: "status", hidden: true });
  selection.store.subscribe(() => {
    mark(root, "data-waiting", selection.case ? null : "");
    show(line, !selection.case);
    write(line, selection.coming);
  });
  return line;
}
