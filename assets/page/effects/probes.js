/**
 * "Is there a ...?", thing by thing: a matrix of things and budgets for a method and its random, and
 * how much of each thing was left to look at. A frame says whether an answer is right, and so does
 * a sign.
 */
import { mark, node, scrollable, segments, show, write } from "../common/dom.js";
import { tableButton } from "../common/download.js";
import { format } from "../common/format.js";
import { taskBar } from "../common/answers/task.js";
import { boxPicture } from "./boxes.js";

const KINDS = {
  random: "things drawn by lot",
  popular: "things that are on most scenes",
  adversarial: "things that often come together",
};
const LEGEND =
  "Figures: P(yes) of the first word, of yes and no together. ✓ and a green frame: right; ✗ and a " +
  "red frame: wrong, where a thing is hallucinated (said to be there) or lost (said not to be). " +
  "▲ fixed, ▼ broken: right or wrong unlike with all tokens. Random is one draw.";

/** The runs that have a column: all tokens, then each method from many tokens to few. */
function columnsOf(reply) {
  const seen = new Map();
  for (const { answers } of reply.rows)
    for (const { method, wished, budget } of answers)
      seen.set(`${method} ${wished}`, { method, wished, budget });
  const order = [...new Set([...seen.values()].map(({ method }) => method))];
  const rank = ({ method }) => (method === reply.random ? 1 : 0) + order.indexOf(method) / 100;
  return [...seen.values()].sort((a, b) => rank(a) - rank(b) || b.wished - a.wished);
}

const answerAt = (row, column) =>
  column === null
    ? row.full
    : row.answers.find((a) => a.method === column.method && a.wished === column.wished);

/** ".97", "<.01", ">.99" */
const twoDigits = (p) =>
  p < 0.005 ? "<.01" : p > 0.995 ? ">.99" : p.toFixed(2).replace(/^0/, "");

/** What a cell says, for eyes and for ears. */
function cellInWords(row, answer) {
  const chance =
    answer.p_yes === null
      ? ""
      : `; P(yes) ${format.probability(answer.p_yes)}, P(no) ${format.probability(answer.p_no)}`;
  const verdict = [answer.mistake || "right", answer.change].filter(Boolean).join(", ");
  const covered =
    answer.covered === null ? "" : `; ${format.percent(answer.covered, 1)} of it under kept patches`;
  return `“${row.question}” at ${answer.budget} tokens: “${answer.text}”${chance}; ${verdict}${covered}.`;
}

function cell(row, answer, chosen, choose) {
  if (!answer) return node("td", {}, "·");
  const right = answer.mistake === "";
  const figure = answer.yes === null ? (answer.says_yes ? "yes" : "no") : twoDigits(answer.yes);
  const change = { fixed: "▲", broken: "▼" }[answer.change] ?? "";
  const button = node(
    "button",
    {
      type: "button",
      class: "vt-probe",
      "data-is": right ? "right" : "wrong",
      "aria-pressed": String(chosen),
      title: cellInWords(row, answer),
    },
    node("b", {}, right ? "✓" : "✗"),
    ` ${figure}`,
    node("i", {}, change),
  );
  button.addEventListener("click", choose);
  return node("td", {}, button);
}

/** How many of a column are right, and what was fixed and broken. */
function total(rows, column) {
  const answers = rows.map((row) => answerAt(row, column)).filter(Boolean);
  const count = (test) => answers.filter(test).length;
  const right = count(({ mistake }) => mistake === "");
  const [fixed, broken] = ["fixed", "broken"].map((is) => count(({ change }) => change === is));
  return node(
    "td",
    {},
    `${right}/${answers.length}`,
    column === null ? "" : node("small", {}, `▲${fixed} ▼${broken}`),
  );
}

/** The matrix; chosen: which cell is told of below. */
function matrix(reply, titleOf, chosen, choose) {
  const columns = columnsOf(reply);
  const methods = [...new Set(columns.map(({ method }) => method))];
  const heads = methods.map((method) => {
    const span = columns.filter((column) => column.method === method).length;
    return node("th", { colspan: span, scope: "colgroup" }, titleOf(method));
  });
  const floor = ({ wished, budget }) => (wished === budget ? String(budget) : `${budget}*`);
  const title = ({ wished, budget }) =>
    wished === budget ? null : `The method can't go down to ${wished}: its floor is ${budget}`;
  const body = reply.rows.map((row) =>
    node(
      "tr",
      {},
      node("th", { scope: "row" }, row.thing, node("small", {}, row.there ? "there" : "not there")),
      ...[null, ...columns].map((column) => {
        const key = `${row.thing} ${column?.method} ${column?.wished}`;
        return cell(row, answerAt(row, column), key === chosen.key, () =>
          choose({ key, row, column }),
        );
      }),
    ),
  );
  return node(
    "table",
    { class: "vt-probes" },
    node(
      "thead",
      {},
      node("tr", {}, node("td"), node("th", { scope: "col" }, "all tokens"), ...heads),
      node(
        "tr",
        {},
        node("td"),
        node("th", { scope: "col" }, String(reply.rows[0].full.budget)),
        ...columns.map((c) => node("th", { scope: "col", title: title(c) }, floor(c))),
      ),
    ),
    node("tbody", {}, ...body),
    node(
      "tfoot",
      {},
      node(
        "tr",
        {},
        node("th", { scope: "row" }, "right"),
        ...[null, ...columns].map((column) => total(reply.rows, column)),
      ),
    ),
  );
}

/** What all budgets together say of a method. */
function summaryInWords(reply, titleOf) {
  const methods = [...new Set(columnsOf(reply).map(({ method }) => method))];
  const told = methods.map((method) => {
    const answers = reply.rows.flatMap((row) => row.answers.filter((a) => a.method === method));
    const count = (field, is) => answers.filter((answer) => answer[field] === is).length;
    return (
      `${titleOf(method)}: ${count("mistake", "hallucinated")} hallucinated, ` +
      `${count("mistake", "lost")} lost, ${count("change", "fixed")} fixed, ` +
      `${count("change", "broken")} broken of ${answers.length}`
    );
  });
  return `${told.join(". ")}.`;
}

const tableOf = (reply) =>
  reply.rows.flatMap((row) =>
    [row.full, ...row.answers].map(({ text, ...answer }) => ({
      thing: row.thing,
      there: row.there,
      why: row.why,
      question: row.question,
      ...answer,
      text,
    })),
  );

/** A line of things with commas; Enter asks about them. */
function thingsField(id, label, placeholder, typed, ask) {
  const field = node("input", { type: "text", id, maxlength: 1000, placeholder });
  field.addEventListener("input", () => typed(field.value));
  field.addEventListener("keydown", ({ key, isComposing }) => {
    if (key === "Enter" && !isComposing) ask();
  });
  return node("label", { for: id }, label, field);
}

/** The controls: which things are asked about. */
function controls(strategies, things, state, changed, ask) {
  const choices = strategies.map((name) => [name, name, KINDS[name]]);
  const kinds = segments("Things that are not there", choices, (name) => {
    state.strategy = name;
    changed();
  });
  const typed = node(
    "details",
    { class: "vt-effects-typed" },
    node("summary", {}, "Ask about things of your own"),
    thingsField(
      "vt-there",
      "in the picture",
      "dog/puppy, ball",
      (text) => (things.there = text),
      ask,
    ),
    thingsField("vt-absent", "not in it", "cat, car", (text) => (things.absent = text), ask),
  );
  const line = node("div", { class: "vt-tools" }, "not there: ", kinds.group);
  const update = (kase) => {
    const scene = kase.seed !== null;
    show(line, scene);
    if (!scene) typed.open = true;
    kinds.press(state.strategy);
  };
  return { nodes: [line, typed], update };
}

/** The panel. things: what the visitor types, shared with the captions. */
export function probePanel(store, task, strategies, things, changed) {
  const state = { strategy: strategies.at(-1), auto: null, cell: { key: null, own: false } };
  const ask = () => {
    const { case: kase, method } = store.state;
    const { there, absent } = things;
    state.cell = { key: null, own: false };
    task.ask({ case: kase.id, method, strategy: state.strategy, there, absent });
  };
  const choose = (chosen) => {
    state.cell = { ...chosen, own: true };
    changed();
  };
  const pick = controls(
    strategies,
    things,
    state,
    () => (task.reply ? ask() : changed()),
    ask,
  );
  const asks = taskBar(task, "Ask", "probes", ask);
  const picture = boxPicture();
  const table = scrollable("Things and budgets");
  const [detail, summary, legend] = ["vt-probe-detail", "vt-probe-summary", null].map((id) =>
    node("p", { class: "vt-small", id }),
  );
  write(legend, LEGEND);
  const csv = tableButton("probes", () => tableOf(task.reply));
  const found = node(
    "div",
    { class: "vt-effects-two" },
    node("div", {}, table, summary, detail, legend, csv),
    picture.node,
  );
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-probes" },
    node("h2", {}, "Is there a …?"),
    ...pick.nodes,
    node("div", { class: "vt-tools" }, ...asks.buttons),
    ...asks.nodes,
    found,
  );
  let drawn = null;
  const update = () => {
    const { case: kase, method } = store.state;
    const reply = task.reply;
    if (kase.live && kase.seed !== null && state.auto !== kase.id && !reply && !task.busy) {
      state.auto = kase.id;
      return ask();
    }
    pick.update(kase);
    write(asks.go, `Ask ${store.method?.title ?? method}`);
    asks.update("");
    const rows = reply?.rows ?? [];
    show(found, rows.length > 0);
    mark(panel, "data-rows", rows.length);
    if (!rows.length) return;
    const titleOf = (key) =>
      key === reply.random ? reply.random_title : titleIn(kase, key);
    if (!state.cell.own) state.cell = firstCell(reply);
    const now = `${rows.length} ${reply.ticket} ${state.cell.key}`;
    if (now === drawn) return;
    drawn = now;
    table.replaceChildren(matrix(reply, titleOf, state.cell, choose));
    write(summary, summaryInWords(reply, titleOf));
    const { row, column } = state.cell;
    write(detail, cellInWords(row, answerAt(row, column)));
    const where = column ? `${titleOf(column.method)} at ${column.budget} tokens` : "all tokens";
    picture.update(kase, rows, (each) => answerAt(each, column), where);
  };
  return { node: panel, update };
}

/** The cell that is told of first: one that pruning has changed, else one at a quarter. */
function firstCell(reply) {
  const columns = columnsOf(reply).filter(({ method }) => method !== reply.random);
  const cells = reply.rows.flatMap((row) => columns.map((column) => ({ row, column })));
  const changed = cells.find(({ row, column }) => answerAt(row, column)?.change);
  const { row, column } = changed ?? { row: reply.rows[0], column: columns[2] ?? null };
  return { key: `${row.thing} ${column?.method} ${column?.wished}`, row, column };
}

/** The title of a method of the case. */
export const titleIn = (kase, key) =>
  kase.listed.find((method) => method.key === key)?.title ?? key;
