/**
 * A case leaves the page as a file and comes back from one: buttons, the messages that carry it, and
 * stored beside recomputed values. Files are read and written here, so that none is left on the
 * server. Knows nothing of what stands in a file.
 */
import { mark, node, rootOf, show, write } from "../common/dom.js";
import { download, downloadTable, tableButton } from "../common/download.js";
import { format } from "../common/format.js";
import { inbound, sender, valueOf } from "../common/bridge.js";
import { queryOf } from "./address.js";
import { patchRows, stagePng } from "./stage/stage_png.js";

/** The address of what is on the page, or null where its picture is the visitor's own. */
function linkHere(store) {
  if (typeof store.state.case?.seed !== "number") return null;
  return `${location.origin}${location.pathname}?${queryOf(store)}`;
}

/** The picture in the text of a saved case, so that a reload finds it, or null. */
async function pictureIn(text) {
  try {
    const { png } = JSON.parse(text).picture;
    return await (await fetch(`data:image/png;base64,${png}`)).blob();
  } catch {
    return null; // the server says what is wrong with it
  }
}

/** Copy the link; where the browser forbids that, show it, ready to be copied by hand. */
function linker(store, announce) {
  const line = node("input", { type: "text", readonly: true, "aria-label": "Link", hidden: true });
  const copy = async () => {
    const link = linkHere(store);
    show(line, false);
    if (!link) return announce("A link can't carry your own picture; save the case instead.");
    try {
      await navigator.clipboard.writeText(link);
      announce("The link is copied.");
    } catch {
      announce("Your browser lets nobody copy for you; here is the link.");
      line.value = link;
      show(line, true);
      line.select();
    }
  };
  const title = "Copy a link to this scene, question, model, method and budget";
  return [button("Link", title, copy), line];
}

function button(text, title, onClick) {
  const made = node("button", { type: "button", title }, text);
  made.addEventListener("click", onClick);
  return made;
}

/** The button that opens a file, with a sentence where the file is too large to be read. */
function opener(most, announce, send) {
  const input = node("input", { type: "file", accept: ".json,application/json", hidden: true });
  input.addEventListener("change", async () => {
    const [file] = input.files;
    announce("");
    if (!file) return;
    const large = file.size > most;
    if (large) announce(`A case has at most ${most / 1e6} MB; this file is larger.`);
    else send(await file.text());
    input.value = ""; // the same file can be chosen again
  });
  const title = "Open a saved case and compare it with what is computed here";
  return [button("Open", title, () => input.click()), input];
}

/** The row of buttons; `send` has the ways out. most: the bytes that a file may have. */
function buttons(store, send, most) {
  const line = node("p", { class: "vt-told", role: "status" });
  const announce = (text) => write(line, text);
  const named = (kind) => {
    const { case: open, method, budget } = store.state;
    return `${kind}-${open.id}-${method.replace(/[^a-z0-9]+/g, "-")}-${budget}`;
  };
  const save = (kind) => {
    const { case: open, method, budget } = store.state;
    send.save({ case: open.id, method, budget, kind });
  };
  const png = async () => download(`${named("stage")}.png`, "image/png", await stagePng(store));
  const table = () => downloadTable(named("patches"), patchRows(store));
  const what = "Save picture, question, answers and kept patches as one file";
  return [
    button("Save", what, () => save("case")),
    ...opener(most, announce, async (text) =>
      store.opening.ask({ kind: "file", text }, await pictureIn(text)),
    ),
    ...linker(store, announce),
    button("PNG", "Save the picture as it is drawn", png),
    button("Report", "Save everything about this case as one page", () => save("report")),
    button("CSV", "Save every patch with its score and its fate", table),
    line,
  ];
}

const dot = (value, inWords) => (value === null || value === undefined ? "·" : inWords(value));
const ROWS = [
  ["answer", ({ text }) => text || "(nothing)"],
  ["p", ({ p_full }) => dot(p_full, (p) => p.toFixed(3)), "Probability of the full answer"],
  ["KL", ({ kl }) => dot(kl, format.brief), "Of the first token's distribution, in nats"],
  ["patches", ({ kept }) => dot(kept, format.count), "Kept after the last stage"],
];
const CHANGES = {
  answer: "answer changed",
  tokens: "other patches",
  "not run": "not computed",
  "": "same",
};

/** One answer: what the file says beside what was computed here. */
function compared({ name, change, says, stored, again }) {
  const cells = ROWS.map(([label, of, title]) => {
    const [then, now] = [of(stored), again ? of(again) : "·"];
    const differs = then !== now ? "" : null;
    const head = node("th", { scope: "row", title }, label);
    const line = node("tr", {}, head, node("td", {}, then), node("td", {}, now));
    mark(line, "data-differs", differs);
    show(line, then !== "·" || now !== "·");
    return line;
  });
  const verdict = node("span", { class: "vt-mark" }, CHANGES[change]);
  const heads = ["stored", "now"].map((text) => node("th", { scope: "col" }, text));
  return node(
    "section",
    { "data-change": change },
    node("h3", {}, name, verdict),
    node(
      "table",
      {},
      node("thead", {}, node("tr", {}, node("td"), ...heads)),
      node("tbody", {}, ...cells),
    ),
    ...(says ? [node("p", { class: "vt-small" }, says)] : []),
  );
}

/** The same as one record. */
function flat({ name, change, stored, again }) {
  const beside = Object.keys(stored).flatMap((key) => [
    [`${key}_stored`, stored[key]],
    [`${key}_now`, again?.[key] ?? null],
  ]);
  return { run: name, is: CHANGES[change], ...Object.fromEntries(beside) };
}

/** Stored beside recomputed values of the case that was opened: {case, rows}. */
function stored(store, block) {
  const root = rootOf(block.element, "vt-stored");
  let value = null;
  let drawn = null;
  store.subscribe(({ case: open, pending }) => {
    const mine = Boolean(value && open && value.case === open.id && !pending);
    show(root, mine);
    if (!mine || drawn === value) return;
    drawn = value;
    const save = tableButton(`stored-${open.id}`, () => value.rows.map(flat));
    root.replaceChildren(...value.rows.map(compared), save);
  });
  block.watch("value", () => {
    value = valueOf(block);
    store.changed();
  });
}

/** What Gradio mounts: the buttons, the ways to the server and back, stored values. */
export function share(store) {
  const send = { save: null };
  return {
    /** value: {most}, the bytes that a file may have. */
    mountButtons(block) {
      const root = rootOf(block.element, "vt-sharing");
      root.replaceChildren(...buttons(store, send, valueOf(block).most));
    },
    /** What to save, as a case or a report: {case, method, budget, kind}. */
    mountSave: (block) => (send.save = sender(block, "save")),
    /** What the server has packed for the visitor to take home: {name, type, text}. */
    mountDownload: (block) =>
      inbound(block, (file) => {
        if (file?.name) download(file.name, file.type, file.text);
      }),
    mountStored: (block) => stored(store, block),
  };
}
