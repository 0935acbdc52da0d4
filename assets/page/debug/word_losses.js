/**
 * What each word of the full answer loses by pruning: its log-probability with all tokens minus that
 * with the kept ones, as a number below the word and the strength of its colour. Knows numbers and
 * words; not how they were measured.
 */
import { node, show, withTerms, write } from "../common/dom.js";
import { format } from "../common/format.js";

const STRONG = 4; // nats from which on a word has the strongest colour: 1 / 55 of its probability
const SMALL = 0.05; // nats that are no loss to speak of
const EXPLAINED =
  "Below each word of the full answer: the [log-probability, in nats](log-probability), that pruning takes from it, " +
  "given the words before it. A loss of 0.7 halves its probability.";

/** Join the tokens of the full answer to words, each with the sum of its tokens' losses. */
export function wordLosses(full, pruned) {
  const losses = pruned?.losses ?? [];
  const words = [];
  (full?.tokens ?? []).forEach(({ text }, i) => {
    if (words.length && !/^\s/.test(text)) {
      words.at(-1).text += text;
      words.at(-1).loss += losses[i] ?? 0;
    } else words.push({ text, loss: losses[i] ?? 0 });
  });
  return losses.length ? words.map(({ text, loss }) => ({ text: text.trim(), loss })) : [];
}

function inWords(loss) {
  if (Math.abs(loss) < SMALL) return "±0";
  return loss > 0 ? `−${format.brief(loss)}` : `+${format.brief(-loss)}`;
}

/** The row of words. */
export function lossRow() {
  const row = node("p", { class: "vt-losses" });
  const line = node("p", { class: "vt-small" }, ...withTerms(EXPLAINED));
  const whole = node("div", {}, row, line);
  let drawn = "";
  const update = (words) => {
    show(whole, words.length > 0);
    const now = JSON.stringify(words);
    if (now === drawn) return;
    drawn = now;
    const most = Math.max(...words.map(({ loss }) => loss));
    const cells = words.map(({ text, loss }) => {
      const share = Math.min(1, Math.max(0, loss / STRONG));
      const worst = loss === most && loss >= SMALL;
      const number = node("small", {});
      write(number, inWords(loss));
      const title = worst ? "loses most of all words" : null;
      return node(
        "span",
        {
          class: "vt-loss-word",
          "data-worst": worst ? "" : null,
          style: `--vt-loss: ${Math.round(40 * share)}%`,
          title,
        },
        node("b", {}, text),
        number,
      );
    });
    row.replaceChildren(...cells);
  };
  return { node: whole, update };
}
