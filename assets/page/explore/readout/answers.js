/**
 * Two cards of the same shape: the answer from all tokens and the answer from the kept ones, with
 * what differs framed and named in words. Knows nothing of pictures and scores.
 */
import { mark, node, show, term, write } from "../../common/dom.js";
import { format } from "../../common/format.js";

const LONG = 48; // letters from which an answer is set in smaller type
const LOSS =
  "How far the pruned run is from the full one: the KL divergence of the first answer " +
  "token's distribution, and the log-probability that the full answer loses per token";
const COVERED = { text: "?", tokens: [] };
const NAMES = {
  computed: "computed",
  memory: "from memory",
  computing: "computing …",
  waiting: "waiting in the queue …",
  failed: "no answer",
  unasked: "asked when the slider rests",
  covered: "covered",
};

/** Which of the tokens `b` are not part of the longest common sequence with `a`. */
function differing(a, b) {
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      table[i][j] =
        a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  const differs = new Set(b.keys());
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      differs.delete(j);
      i++;
      j++;
    } else if (table[i + 1][j] >= table[i][j + 1]) i++;
    else j++;
  }
  return differs;
}

const texts = (answer) => (answer?.tokens ?? []).map(({ text }) => text.trim());

/** The row of tokens, each underlined as wide as its probability. */
function tokenRow() {
  const row = node("div", { class: "vt-tokens" });
  const cells = [];
  const update = (answer, full) => {
    const tokens = answer?.tokens ?? [];
    const differs = full && !answer?.partial ? differing(texts(full), texts(answer)) : new Set();
    while (cells.length > tokens.length) cells.pop().cell.remove();
    while (cells.length < tokens.length) {
      const [word, line] = [node("span"), node("u")];
      const cell = node("span", { class: "vt-token" }, word, line);
      cells.push({ cell, word, line });
      row.append(cell);
    }
    tokens.forEach(({ text, p }, i) => {
      const { cell, word, line } = cells[i];
      const changed = differs.has(i);
      write(word, text.trim() || "␣");
      line.style.width = `${100 * (p ?? 0)}%`;
      mark(cell, "data-differs", changed ? "" : null);
      const chance = typeof p === "number" ? format.chance(p) : "p not known";
      mark(cell, "title", changed ? `${chance}, differs from the full answer` : chance);
    });
  };
  return { node: row, update };
}

/** "first token: KL .05 nats · full answer: −.02 nats per token", as far as an answer knows it. */
function lossLine() {
  const [kl, drop] = [node("span"), node("span")];
  const first = node("span", {}, "first token: ", term("kl", "KL"), " ", kl);
  const between = node("span", {}, " · ");
  const each = node("span", {}, "full answer: ", drop, " ", term("log-probability", "nats"));
  each.append(" per token");
  const line = node("p", { class: "vt-small vt-loss", title: LOSS }, first, between, each);
  const small = (x) => (Math.abs(x) < 5e-4 ? "0" : format.brief(x));
  const update = (answer) => {
    const [hasKl, hasDrop] = [answer?.kl, answer?.drop].map((x) => typeof x === "number");
    if (hasKl) write(kl, `${small(answer.kl)} nats`);
    if (hasDrop) write(drop, small(-answer.drop));
    show(first, hasKl);
    show(between, hasKl && hasDrop);
    show(each, hasDrop);
    show(line, hasKl || hasDrop);
  };
  return { node: line, update };
}

/** One card; `shown` says everything that stands on it. */
function card(id) {
  const count = node("span");
  const is = node("span", { class: "vt-is" });
  const verdict = node("span", { class: "vt-mark" });
  const text = node("p", { class: "vt-answer" });
  const error = node("p", { class: "vt-error", role: "alert", hidden: true });
  const tokens = tokenRow();
  const chance = node("p", { class: "vt-small" });
  const loss = lossLine();
  const top = node("p", { class: "vt-top" }, count, is, verdict);
  const whole = node(
    "article",
    { class: "vt-answer-card", id },
    top,
    text,
    error,
    tokens.node,
    chance,
    loss.node,
  );
  let drawn = null;

  const update = (shown) => {
    const { answer, full } = shown;
    write(count, shown.count);
    write(is, shown.is ?? "");
    write(verdict, shown.verdict);
    mark(whole, "data-verdict", shown.tone);
    mark(whole, "data-state", shown.state);
    write(chance, shown.chance);
    loss.update(shown.loss);
    show(error, Boolean(answer?.error));
    write(error, answer?.error ?? "");
    if (drawn?.answer === answer && drawn.full === full) return;
    drawn = { answer, full };
    const words = answer?.error ? "" : (answer?.text ?? "…");
    write(text, words);
    mark(text, "data-long", words.length > LONG ? "" : null);
    mark(text, "data-blank", answer?.text ? null : "");
    tokens.update(answer, full);
  };
  return { node: whole, update };
}

/** The verdict in words and the tone that colours the card. */
function judge(answer, same) {
  if (!answer || answer.partial || answer.error) return { verdict: "", tone: null };
  const likeness = same === null ? "" : same ? "same" : "changed";
  if (typeof answer.right !== "boolean") {
    const sign = same ? "=" : "≠";
    return {
      verdict: likeness && `${sign} ${likeness}`,
      tone: same === false ? "changed" : null,
    };
  }
  const truth = answer.right ? "✓ right" : "✗ wrong";
  return {
    verdict: likeness ? `${truth}, ${likeness}` : truth,
    tone: answer.right ? "right" : "wrong",
  };
}

const tokensInWords = (n) => `${format.count(n)} token${n === 1 ? "" : "s"}`;

function fullCard(full, n) {
  const chance = typeof full?.p_full === "number" ? format.chance(full.p_full) : "";
  return {
    answer: full,
    full: null,
    count: `all ${tokensInWords(n)}`,
    state: full ? "computed" : "computing",
    is: full ? "" : NAMES.computing,
    chance,
    loss: null,
    ...judge(full, null),
  };
}

/** The two cards while a case is being opened: the full answer as it comes, then the methods. */
function opening(store, { id }) {
  const answer = store.answers.opening(id);
  const blank = { answer: null, full: null, chance: "", loss: null, ...judge(null, null) };
  const busy = { state: "computing", is: NAMES.computing };
  return {
    full: { ...blank, answer, count: "all tokens", ...busy },
    pruned: { ...blank, count: "kept tokens", state: "unasked", is: "follows" },
  };
}

function prunedCard(store) {
  const count = tokensInWords(store.choice.budget);
  if (store.state.covered) {
    const nothing = { full: null, chance: "", loss: null, ...judge(null, null) };
    return { ...nothing, answer: COVERED, count, state: "covered", is: NAMES.covered };
  }
  const { answer, is } = store.answers.pruned;
  const done = answer && !answer.partial && !answer.error;
  const chance =
    done && typeof answer.p_full === "number"
      ? `the full answer has ${format.chance(answer.p_full)} here`
      : store.answers.stages.one;
  return {
    answer,
    full: store.full,
    count,
    state: is,
    is: NAMES[is],
    chance,
    loss: done ? answer : null,
    ...judge(answer, done ? store.same(answer) : null),
  };
}

/** The panel of the two answers. */
export function answerPanel(store) {
  const full = card("vt-full");
  const pruned = card("vt-pruned");
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-answers" },
    node("h2", {}, "Answers"),
    full.node,
    pruned.node,
  );
  const update = (state) => {
    if (state.pending) {
      const shown = opening(store, state.pending);
      full.update(shown.full);
      pruned.update(shown.pruned);
      return;
    }
    full.update(fullCard(store.full, state.case.grid.n));
    pruned.update(prunedCard(store));
  };
  return { node: panel, update };
}
