/**
 * The head of the stage: which method is chosen, its badges and its one plain sentence.
 * Knows nothing of pictures, scores or answers.
 */
import { badgeOf, node, show, write } from "../../common/dom.js";
import { groupedOptions } from "../../common/grouping.js";

const BADGES = 4;

function offer(select, { methods, later = [] }) {
  const missing = later.filter(({ key }) => !methods.some((method) => method.key === key));
  const slow = missing.map((m) => ({ ...m, title: `${m.title} · on demand` }));
  select.replaceChildren(...groupedOptions([...methods, ...slow]));
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
  let offered = null;
  let shown = null;
  let said = null;
  select.addEventListener("change", () => store.chooseMethod(select.value));

  const update = (state) => {
    const { method } = store;
    if (offered !== state.case.methods) {
      offer(select, state.case);
      offered = state.case.methods;
    }
    if (!store.coming && select.value !== state.method) select.value = state.method;
    if (shown === method && said === store.coming) return;
    [shown, said] = [method, store.coming];
    const labels = (method.badges ?? []).slice(0, BADGES);
    badges.replaceChildren(...labels.map(badgeOf));
    const working = `${said} is being worked out for this picture …`;
    write(sentence, said ? working : (method.sentence ?? ""));
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
