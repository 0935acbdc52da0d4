/**
 * What is to be known about a video's answers: notes, the contact sheet that the model sees, and the
 * cards of QuoTA and of the methods that choose by frames.
 */
import { node, show } from "../common/dom.js";

const ABOUT = [
  "QuoTA (Luo et al., AAAI 2026, arXiv 2503.08689) shares a budget out over frames: " +
    "wᵢ = qᵢ^α / Σ q^α, nᵢ = ⌊B wᵢ⌋ tokens, and each frame's grid is resized to its share. " +
    "α = 2 is the authors' choice, α = 0 the even share.",
  "Checked against MAC-AutoML/QuoTA @ ec194d7: shares, grids and resized tokens of v1 and v2 " +
    "equal the official code's on 3 recordings; the frames' scores have no recording. The paper " +
    "itself could not be read, only its abstract.",
  "v1 interpolates and may give a frame more tokens than it had; v2 averages, and caps a frame " +
    "at its own size. v3 to v5 don't run to the end in the official code.",
  "Within a frame all patches share one score. Grids are cut off to whole numbers, so that fewer " +
    "tokens than the budget are used, and every budget makes new grids: a larger one need not " +
    "answer better.",
];

const facts = ({ verified, uncertain, traps, headline }) =>
  Object.entries({ Checked: verified, "Not certain": uncertain, Beware: traps, Reported: headline });

function folded(summary, ...content) {
  return node("details", { class: "vt-video-view-more" }, node("summary", {}, summary), ...content);
}

function cardOf(card) {
  return folded(
    `About ${card.title}, and what is not certain`,
    node("p", {}, `${card.title} (${card.source}). ${card.sentence}`),
    node("code", { class: "vt-equation" }, card.equation),
    ...facts(card).map(([name, text]) => node("p", {}, node("b", {}, `${name}: `), text)),
  );
}

/** Notes, contact sheet and cards; `update(video)` when another one is open. */
export function about() {
  const notes = node("div", { class: "vt-notes vt-video-view-notes" });
  const sheet = node("img", { class: "vt-video-view-sheet", alt: "The contact sheet of all frames" });
  const picture = folded("The contact sheet that the model sees", sheet);
  picture.id = "vt-video-view-sheet";
  const quota = folded(
    "About QuoTA, and what is not certain",
    ...ABOUT.map((text) => node("p", {}, text)),
  );
  const others = node("div", { id: "vt-video-view-cards" });
  let shown = null;
  const update = (video) => {
    if (shown === video) return;
    shown = video;
    notes.replaceChildren(...video.notes.map((line) => node("p", {}, line)));
    others.replaceChildren(...video.cards.map(cardOf));
    show(picture, Boolean(video.sheet));
    if (video.sheet) sheet.src = video.sheet;
  };
  return { node: node("div", {}, notes, picture, quota, others), update };
}
