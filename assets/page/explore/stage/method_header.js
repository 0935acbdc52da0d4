/**
 * The head of the stage: which method is chosen, its badges and its one plain sentence.
 * Knows nothing of pictures, scores or answers.
 */
import { badgeOf, node, show, write } from "../../common/dom.js";
import { groupedOptions } from "../../common/grouping.js";

const BADGES = 4;

/** What can be chosen: all methods of the list, and slow ones. */
function offered({ listed, later = [] }) {
  const missing = later.filter(({ key }) => !listed.some((method) => method.key === key));
  return [...listed, ...missing.map((m) => ({ ...m, title: `${m.title} · on demand` }))];
}

/** The method chooser with what is said about the chosen method. */
export function methodHeader(store) {
  const select = node("select", { id: "vt-method", "aria-label": "Pruning method" });
  const badges = node("span", { class: "vt-badges" });
  const sentence = node("p", { class: "vt-idea" });
  const [trap, doubt] = [node("p"), node("p")];
  const doubts = node(
    "details",
    { class: "vt-uncertain" },
    node("summary", {}, "What to beware of, and what is not certain"),
    trap,
    doubt,
  );
  let offers = "";
  let shown = null;
  let said = null;
  select.addEventListener("change", () => store.chooseMethod(select.value));

  const update = (state) => {
    const { method } = store;
    const methods = offered(state.case);
    const now = JSON.stringify(methods.map(({ title }) => title));
    if (offers !== now) select.replaceChildren(...groupedOptions(methods));
    offers = now;
    if (!store.coming && select.value !== state.method) select.value = state.method;
    const { coming, refusal } = store;
    const sentenceNow = coming ? `${coming} is being worked out for this picture …` : refusal;
    if (shown === method && said === sentenceNow) return;
    [shown, said] = [method, sentenceNow];
    const labels = (method.badges ?? []).slice(0, BADGES);
    badges.replaceChildren(...labels.map(badgeOf));
    write(sentence, said ?? method.sentence ?? "");
    write(trap, method.traps ?? "");
    write(doubt, method.uncertain ?? "");
    show(doubts, Boolean(method.traps || method.uncertain));
  };
  const head = node(
    "div",
    { class: "vt-head" },
    node("span", { class: "vt-select" }, select),
    badges,
  );
  return { nodes: [head, sentence], doubts, update };
}
