/**
 * The stage as a file: as a PNG with question and answers under it, and patch by patch as a table.
 */
import { drawOverlay } from "../../canvas/overlay.js";
import { stageScene } from "../../canvas/picture_view.js";
import { node } from "../../common/dom.js";
import { format } from "../../common/format.js";

const LONG_SIDE = 1120; // pixels of the picture in a PNG
const MARGIN = 24;
const LINE = 30;
const FONT = "20px 'Source Sans Pro', sans-serif";

const fateInWords = (fate) => (fate === 0 ? "kept" : fate < 0 ? "dropped" : `merged ${fate}`);

/** One row per visual token: where it lies, its score and rank, and its fate at every stage. */
export function patchRows(store) {
  const { grid } = store.state.case;
  const { stages } = store.choice;
  return Array.from({ length: grid.n }, (_, token) => {
    const [view, row, column] = grid.place.slice(3 * token, 3 * token + 3);
    const { score, rank } = stages[0].scores;
    const fates = stages.map(({ layer, fate }) => [`stage_${layer}`, fateInWords(fate[token])]);
    return {
      token,
      view: grid.views[view]?.name ?? null,
      row: row + 1,
      column: column + 1,
      score: score[token],
      rank: rank[token] < 0 ? null : rank[token] + 1,
      ...Object.fromEntries(fates),
    };
  });
}

const answerInWords = (answer) => {
  if (!answer || answer.error) return "no answer yet";
  const truth = { true: " (right)", false: " (wrong)" }[answer.right] ?? "";
  return `${answer.text || "nothing"}${truth}`;
};

function caption(store) {
  const { case: kase } = store.state;
  const { choice } = store;
  const { answer } = store.answers.pruned;
  return [
    kase.question,
    `${choice.method.title} · ${choice.budget} of ${format.count(kase.grid.n)} visual tokens`,
    `all tokens: ${answerInWords(store.full)}`,
    `kept tokens: ${answerInWords(answer?.partial ? null : answer)}`,
  ];
}

/** Break words into lines of at most so many pixels; a word that is longer is cut. */
function wrapped(pen, text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (!lines.at(-1) || pen.measureText(longer).width <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** Draw the stage as it is on the page, with picture, question and answers, as a PNG. */
export async function stagePng(store) {
  const { state } = store;
  const scene = stageScene(store);
  const [x0, y0, x1, y1] = scene.view.box;
  const scale = LONG_SIDE / Math.max(x1 - x0, y1 - y0);
  const size = { width: Math.round(scale * (x1 - x0)), height: Math.round(scale * (y1 - y0)) };
  const image = new Image();
  image.src = state.case.picture.src;
  await Promise.all([image.decode(), document.fonts.load(FONT)]);
  const over = Object.assign(node("canvas"), size);
  drawOverlay(over, { ...scene, cursor: -1 }, 2);

  const whole = node("canvas");
  const pen = whole.getContext("2d");
  pen.font = FONT;
  const lines = caption(store).flatMap((text) => wrapped(pen, text, size.width));
  whole.width = size.width + 2 * MARGIN;
  whole.height = size.height + 3 * MARGIN + LINE * lines.length;
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, whole.width, whole.height);
  pen.save();
  pen.beginPath();
  pen.rect(MARGIN, MARGIN, size.width, size.height);
  pen.clip();
  pen.fillStyle = state.case.picture.backdrop ?? "rgb(128, 128, 128)";
  pen.fillRect(MARGIN, MARGIN, size.width, size.height);
  pen.translate(MARGIN, MARGIN);
  const { width, height } = state.case.picture;
  pen.drawImage(image, -x0 * scale, -y0 * scale, width * scale, height * scale);
  pen.drawImage(over, 0, 0);
  pen.restore();
  pen.font = FONT; // a new size has reset it
  pen.fillStyle = "#18181b";
  pen.textBaseline = "top";
  lines.forEach((text, i) => pen.fillText(text, MARGIN, size.height + 2 * MARGIN + LINE * i));
  return new Promise((done) => whole.toBlob(done, "image/png"));
}
