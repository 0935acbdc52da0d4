/**
 * The tab "Methods": a card per method with its equation, a small drawing of where it looks and
 * where it drops, and settings that change what is kept on the open picture.
 * Knows nothing of how maps are made; one question to the server brings one new map.
 */
import { drawSmall } from "../canvas/thumbnails.js";
import { openTab, valueOf } from "../common/bridge.js";
import { badgeOf, link, mark, node, rootOf, show, svg, write } from "../common/dom.js";
import { format } from "../common/format.js";
import { groupIndex, grouped } from "../common/grouping.js";
import { choiceAt, snap } from "../common/payload.js";

const LOOKS = {
  tower: "the vision tower",
  projector: "the tokens themselves",
  question: "the question",
  llm: "inside the language model",
  answer: "the full answer",
};
const LAYERS = 16;
const READABLE = { True: "yes", False: "no", None: "none" }; // what a spec writes, for people
const GREEK = { alpha: "α", tau: "τ", rho: "ρ", theta: "θ" };
const POSITIONS = { keep: "keep the old ones", renumber: "count anew" };

/** A setting's value as a person reads it; a spec's own words stay the value. */
const readable = (name, value) =>
  (name === "positions" && POSITIONS[value]) || READABLE[value] || value.replaceAll("_", " ");

const nameInWords = (name) => (GREEK[name] ? `${GREEK[name]} (${name})` : name.replaceAll("_", " "));

/** Tower, projector and language model; dots where the method looks, lines where tokens leave. */
function drawing({ looks, drops }) {
  const box = (x, width, label, name) => [
    svg("rect", { x, y: 16, width, height: 24, rx: 4, class: "vt-part" }),
    svg("text", { x: x + width / 2, y: 53 }, label),
    ...(looks.includes(name) ? [svg("circle", { cx: x + width / 2, cy: 28, r: 5 })] : []),
  ];
  const left = 118;
  const wide = 150;
  const bars = Array.from({ length: LAYERS }, (_, i) =>
    svg("rect", {
      x: left + (i * wide) / LAYERS,
      y: 16,
      width: wide / LAYERS - 2,
      height: 24,
      class: "vt-part",
    }),
  );
  const cuts = drops.map((share) => {
    const x = share === 0 ? left - 7 : left - 1 + share * wide;
    return svg("path", { d: `M${x} 8v40`, class: "vt-cut" });
  });
  const said = [
    looks.length
      ? `Looks at ${looks.map((place) => LOOKS[place]).join(", ")}.`
      : "Looks at nothing.",
    `Tokens leave ${drops
      .map((share) =>
        share === 0 ? "before the language model" : `at ${Math.round(100 * share)} % of its layers`,
      )
      .join(", then ")}.`,
  ].join(" ");
  return svg(
    "svg",
    { viewBox: "0 0 276 62", class: "vt-diagram", role: "img", "aria-label": said },
    svg("title", {}, said),
    ...box(2, 52, "tower", "tower"),
    ...box(62, 42, "tokens", "projector"),
    ...bars,
    svg("text", { x: left + wide / 2, y: 53 }, "language model"),
    ...(looks.includes("llm") ? [svg("circle", { cx: left + wide * 0.45, cy: 28, r: 5 })] : []),
    ...(looks.includes("question") ? [svg("text", { x: left + 12, y: 10 }, "question ↓")] : []),
    ...(looks.includes("answer") ? [svg("text", { x: left + wide - 34, y: 10 }, "answer ↑")] : []),
    ...cuts,
  );
}

function sources({ source, paper, arxiv, repository, commit }) {
  const parts = [source];
  if (paper) parts.push(` · “${paper}”`);
  if (arxiv) parts.push(" · ", link(`https://arxiv.org/abs/${arxiv}`, `arXiv ${arxiv}`));
  if (repository) {
    const at = `https://github.com/${repository}/tree/${commit}`;
    parts.push(" · ", link(at, `${repository} @${commit.slice(0, 7)}`));
  }
  return node("p", { class: "vt-small" }, ...parts);
}

const fact = (term, text) => (text ? [node("dt", {}, term), node("dd", {}, text)] : []);

/** Name what the settings of a card ask for, in the server's one form: "hired:paper?alpha=0.25". */
function specOf(card, chosen) {
  const readings = [["", {}], ...card.variants.map(({ label, options }) => [label, options])];
  const written = readings.map(([label, preset]) => {
    const changes = Object.entries(chosen)
      .filter(([name, value]) => value !== (preset[name] ?? card.options[name][0]))
      .map(([name, value]) => `${name}=${value}`);
    const base = label ? `${card.key}:${label}` : card.key;
    return [changes.length, changes.length ? `${base}?${changes.join("&")}` : base];
  });
  return written.reduce((nearest, each) => (each[0] < nearest[0] ? each : nearest))[1];
}

function settings(card, changed) {
  let variant = "";
  const chosen = {};
  const rows = [];
  const selects = {};
  const row = (label, meaning, values, onPick) => {
    const select = node(
      "select",
      { "aria-label": `${card.title}: ${label}` },
      ...values.map(([value, text]) => node("option", { value }, text)),
    );
    select.addEventListener("change", () => {
      onPick(select.value);
      changed(specOf(card, chosen));
    });
    const words = node("span", {}, node("b", {}, label), node("small", {}, meaning));
    rows.push(node("label", { title: meaning }, words, select));
    return select;
  };
  const reset = () => {
    const preset = card.variants.find(({ label }) => label === variant)?.options ?? {};
    for (const [name, values] of Object.entries(card.options)) {
      chosen[name] = preset[name] ?? values[0];
      if (selects[name]) selects[name].value = chosen[name];
    }
  };
  if (card.variants.length) {
    const offers = [["", "the authors' own"], ...card.variants.map(({ label }) => [label, label])];
    const meanings = card.variants.map(({ label, meaning }) => `${label}: ${meaning}`).join("; ");
    row("reading", meanings, offers, (value) => {
      variant = value;
      reset();
    });
  }
  for (const [name, values] of Object.entries(card.options)) {
    const offers = values.map((value) => [value, readable(name, value)]);
    selects[name] = row(nameInWords(name), card.meanings[name], offers, (value) => {
      chosen[name] = value;
    });
  }
  reset();
  return rows;
}

/** What kind of method this is; settings may change it. */
function badgeRow() {
  const row = node("span", { class: "vt-badges" });
  let shown = "";
  const update = (labels) => {
    if (shown === labels.join()) return;
    shown = labels.join();
    row.replaceChildren(...labels.map(badgeOf));
  };
  return { node: row, update };
}

/** One card; a map that isn't there yet is asked for when its settings are chosen. */
function cardOf(store, card) {
  let spec = card.key;
  const preview = node("canvas", { class: "vt-card-picture", width: 132, height: 132 });
  const status = node("p", { class: "vt-small", "aria-live": "polite" });
  const badges = badgeRow();
  badges.update(card.badges);
  const { of_videos: moves } = card;
  const open = node("button", { type: "button" }, moves ? "Open a video" : "Show on the picture");
  open.addEventListener("click", () => {
    if (moves) return openTab("Video");
    store.chooseMethod(spec);
    openTab("Explore");
  });
  const ask = (next) => {
    spec = next;
    store.maps.ask(spec);
    store.changed();
  };
  const rows = moves ? [] : settings(card, ask);
  const element = node(
    "article",
    { class: "vt-panel vt-card-method", "data-method": card.key },
    node("h3", { class: "vt-card-title" }, card.title),
    sources(card),
    badges.node,
    node("p", {}, card.sentence),
    node("code", { class: "vt-equation" }, card.equation),
    drawing(card),
    node("div", { class: "vt-card-try" }, preview, node("div", {}, ...rows, status, open)),
    node(
      "dl",
      {},
      ...fact("Checked", card.verified),
      ...fact("Not certain", card.uncertain),
      ...fact("Beware", card.traps),
      ...fact("Reported", card.headline),
    ),
  );
  const redraw = () => store.changed();
  const update = (state) => {
    const found = state.case?.methods.find(({ key }) => key === spec);
    const failure = store.maps.failures.get(spec);
    element.dataset.spec = spec;
    element.dataset.kept = "";
    if (moves) {
      show(preview, false);
      return write(status, "Chooses among the frames of a video: a single picture has nothing to repeat.");
    }
    open.disabled = !found;
    show(preview, Boolean(found));
    badges.update(found?.badges ?? card.badges);
    const follows = state.case?.rest.some(({ key }) => key === spec);
    const missing = follows ? "Being worked out …" : "Not worked out for this picture yet.";
    if (!found) return write(status, failure ?? missing);
    const choice = choiceAt(state.case, found, snap(state.case, found, state.budget));
    drawSmall(preview, state.case, choice, redraw);
    const { kept } = choice.stages.at(-1).tally;
    element.dataset.kept = kept;
    const mean = format.tenths(choice.mean);
    write(status, `${kept} patches kept, ${mean} tokens on average`);
  };
  return { element, update };
}

const textOf = (card) =>
  [card.key, card.title, card.group, card.source, card.paper, card.sentence, ...card.badges]
    .join(" ")
    .toLowerCase();

/** A line to type in, and a button for each badge: cards that don't fit are hidden. */
function filter(cards, elements, groups) {
  const typed = node("input", {
    type: "search",
    id: "vt-methods-filter",
    placeholder: "Filter: a name, a year, a word",
    "aria-label": "Filter the methods",
  });
  const chosen = new Set();
  const count = node("span", { class: "vt-small", role: "status" });
  const badges = [...new Set(cards.flatMap((card) => card.badges))].sort();
  const update = () => {
    const words = typed.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (card) =>
      words.every((word) => textOf(card).includes(word)) &&
      [...chosen].every((badge) => card.badges.includes(badge));
    const left = cards.filter(fits);
    for (const card of cards) show(elements.get(card.key), left.includes(card));
    for (const group of groups) {
      show(group, left.some((card) => group.contains(elements.get(card.key))));
    }
    write(count, `${left.length} of ${cards.length} methods`);
  };
  const buttons = badges.map((badge) => {
    const button = node("button", { type: "button", "aria-pressed": "false" }, badge);
    button.addEventListener("click", () => {
      if (!chosen.delete(badge)) chosen.add(badge);
      mark(button, "aria-pressed", String(chosen.has(badge)));
      update();
    });
    return button;
  });
  typed.addEventListener("input", update);
  update();
  const row = node("div", { class: "vt-methods-badges", role: "group", "aria-label": "Only those" });
  row.append(...buttons);
  return node("div", { class: "vt-methods-filter" }, typed, row, count);
}

/**
 * Mount the tab. Its value is {cards}.
 * @param {Store} store
 * @param {Block} block see common/bridge.js
 */
export function methodCards(store, block) {
  const value = valueOf(block);
  const root = rootOf(block.element, "vt-cards");
  const cards = value.cards.map((card) => cardOf(store, card));
  const elements = new Map(value.cards.map(({ key }, i) => [key, cards[i].element]));
  const go = (key) => elements.get(key).scrollIntoView({ block: "start" });
  const groups = grouped(value.cards).map(({ label, families }) =>
    node(
      "section",
      { "data-group": label },
      node("h2", {}, label),
      node("div", { class: "vt-cards-group" }, ...families.map(({ key }) => elements.get(key))),
    ),
  );
  const narrowed = filter(value.cards, elements, groups);
  root.append(groupIndex(value.cards, go), narrowed, ...groups);
  store.subscribe((state) => {
    if (root.offsetParent === null) return; // another tab is open
    store.maps.askRest();
    for (const card of cards) card.update(state);
  });
  new IntersectionObserver(() => store.changed()).observe(root);
}
