/**
 * The page: its one store, and what Gradio mounts of it. What is not needed to look at the first
 * example comes after it; a tab other than "Explore" is fetched, script and style, when a hand comes
 * near it, or in a quiet moment. Every function takes a Block, see common/bridge.js.
 */
import { isForThePage } from "./classroom/keys.js";
import { announcer, inbound, openTab, sender, whenSeen } from "./common/bridge.js";
import { rootOf, stylesheet } from "./common/dom.js";
import { whenQuiet } from "./common/settle.js";
import { Store } from "./common/store.js";
import { Address } from "./explore/address.js";
import { modelPicker } from "./explore/model_picker.js";
import { notes } from "./explore/notes.js";
import { questionInputs } from "./explore/question_inputs.js";
import { readout } from "./explore/readout/readout.js";
import { scene, thumbs } from "./explore/scene_inputs.js";
import { stage } from "./explore/stage/stage.js";
import { tagline } from "./explore/tagline.js";
import { snapshot } from "./explore/snapshot.js";
import { mountGlossary, mountWords } from "./classroom/glossary.js";

const AHEAD_MS = 8000; // by then the first example has long been looked at

const store = new Store();
const address = new Address(store);
const picker = modelPicker(store);
const opened = {}; // tabs, by their name

/** Do some work once, when it is first asked for; if it fails, the next one who asks tries again. */
function once(work) {
  let done = null;
  const begin = async () => {
    try {
      return await work();
    } catch (error) {
      done = null;
      throw error;
    }
  };
  return () => (done ??= begin());
}

/** A tab, with the style sheet beside its script; `make` gives what is mounted of it. */
function tab(name, fetchScript, make) {
  const style = new URL(`./${name}/${name}.css`, import.meta.url);
  const fetch = once(() => Promise.all([fetchScript(), stylesheet(style)]));
  const open = once(async () => (opened[name] = await make((await fetch())[0])));
  return { fetch, open };
}

const plot = once(() => import("./explore/readout/dominance_plot.js"));
const shared = once(async () => (await import("./explore/share.js")).share(store));
const plotly = async () => (await import("./canvas/plotly.js")).loadPlotly();
const compare = tab(
  "compare",
  () => import("./compare/compare.js"),
  (script) => script.compareTab(store),
);
const sweep = tab(
  "sweep",
  () => import("./sweep/sweep.js"),
  (script) => script.sweepTab(store),
);
const debug = tab(
  "debug",
  () => import("./debug/debug.js"),
  (script) => script.debugTab(store),
);
const inside = tab(
  "inside",
  () => import("./inside/inside.js"),
  (script) => script.insideTab(store),
);
const effects = tab(
  "effects",
  () => import("./effects/effects.js"),
  (script) => script.effectsTab(store),
);
const failures = tab(
  "failures",
  () => import("./failures/failures.js"),
  (script) => script.failuresTab(store),
);
const video = tab(
  "video",
  () => import("./video/video.js"),
  (script) => script.videoTab(),
);
const methods = tab(
  "methods",
  () => import("./methods/methods.js"),
  (script) => script,
);

const places = {}; // of what is drawn into when it is opened
const ways = {}; // to the server, of what is fetched when it is opened
const classroom = tab(
  "classroom",
  () => import("./classroom/classroom.js"),
  (script) => {
    const wayOf =
      (name) =>
      (...message) =>
        ways[name](...message);
    return script.classroom(store, address, places.lesson, wayOf);
  },
);
address.lessons = {
  open: async (name, step) => (await classroom.open()).player.open(name, step),
  left: () => opened.classroom?.player.left(),
};
const present = async () => (await classroom.open()).presentation.toggle();
const watch = async () => (await classroom.open()).film.toggle();

// What is behind the buttons of the page, by the words on them.
const BEHIND = {
  Compare: [compare.fetch],
  Sweep: [sweep.fetch, plotly],
  Debug: [debug.fetch],
  Inside: [inside.fetch],
  Effects: [effects.fetch],
  Failures: [failures.fetch],
  Video: [video.fetch],
  Methods: [methods.fetch],
  Larger: [plotly],
  "How does this work?": [classroom.fetch],
  Present: [classroom.fetch],
  "Watch tokens leave": [classroom.fetch],
};

const fetchAll = (fetches = []) => Promise.allSettled(fetches.map((fetch) => fetch()));

/** Fetch what is behind a button when a hand comes near it. */
function near({ target }) {
  const button = target.closest?.("button[role=tab], .vt-larger, .vt-how, .vt-present, .vt-watch");
  fetchAll(BEHIND[button?.textContent.trim()]);
}

export const mountNotes = notes;
export { mountGlossary, mountWords };
export const mountHeader = (block) => tagline(store, block);
export const { mountModels, mountLoading } = picker;
export const mountThumbs = (block) => thumbs(store, block);
export const mountScene = (block) => scene(store, block);
export const mountQuestion = (block) => questionInputs(store, block);
export const mountOpened = (block) => inbound(block, (reply) => store.opening.receive(reply));
export const mountOpening = (block) => {
  store.opening.connect(announcer(block, "open"));
  address.begin();
};
export const mountStage = (block) => stage(store, block);
export const mountReadout = (block) => readout(store, block);
export const mountDominancePlot = async (block) => (await plot()).dominancePlot(store, block);
export const mountAsk = (block) => store.answers.connect("ask", announcer(block, "ask"));
export const mountFill = (block) => store.answers.connect("fill", sender(block, "fill"));
export const mountTune = (block) => store.maps.connect(sender(block, "tune"));
export const mountTuned = (block) => inbound(block, (reply) => store.maps.receive(reply));
export const mountMaps = (block) => store.maps.connectRest(announcer(block, "work"));
export const mountMapsReply = (block) => inbound(block, (reply) => store.maps.receiveRest(reply));
export const mountShare = async (block) => (await shared()).mountButtons(block);
export const mountSave = async (block) => (await shared()).mountSave(block);
export const mountDownload = async (block) => (await shared()).mountDownload(block);
export const mountStored = async (block) => (await shared()).mountStored(block);

export const mountLesson = ({ element }) => (places.lesson = rootOf(element, "vt-lesson"));
export const mountClassroom = (block, name) => (ways[name] = announcer(block, "work"));
export const mountClassroomReply = (block, name) =>
  inbound(block, (reply) => opened.classroom?.receive(name, reply));
export const mountCompare = async (block) => (await compare.open()).mount(block);
export const mountCompareRequest = async (block) => (await compare.open()).mountRequest(block);
export const mountSweep = async (block) => (await sweep.open()).mount(block);
export const mountSweepRequest = async (block) => (await sweep.open()).mountRequest(block);
export const mountDebug = async (block) => (await debug.open()).mount(block);
export const mountTask = async (block, name) => (await debug.open()).mountRequest(block, name);
export const mountTaskReply = async (block, name) => (await debug.open()).mountReply(block, name);
export const mountRegion = async (block) => (await debug.open()).region.mount(block);
export const mountRegionRequest = async (block) => (await debug.open()).region.mountRequest(block);
export const mountInside = async (block) => (await inside.open()).mount(block);
export const mountInsideTask = async (block, name) =>
  (await inside.open()).mountRequest(block, name);
export const mountInsideTaskReply = async (block, name) =>
  (await inside.open()).mountReply(block, name);
export const mountEffects = async (block) => (await effects.open()).mount(block);
export const mountEffectsTask = async (block, name) =>
  (await effects.open()).mountRequest(block, name);
export const mountEffectsTaskReply = async (block, name) =>
  (await effects.open()).mountReply(block, name);
export const mountFailures = async (block) => (await failures.open()).mount(block);
export const mountFailuresRequest = async (block) => (await failures.open()).mountRequest(block);
export const mountOwnRequest = async (block, name) =>
  (await failures.open()).mountOwnRequest(block, name);
export const mountOwnReply = async (block, name) =>
  (await failures.open()).mountOwnReply(block, name);
export const mountVideo = async (block) => (await video.open()).mount(block);
export const mountVideoTask = async (block, name) =>
  (await video.open()).mountTask(block, name);
export const mountVideoTaskReply = async (block, name) =>
  (await video.open()).mountTaskReply(block, name);
export const mountVideoRequest = async (block) => (await video.open()).mountRequest(block);
export const mountVideoReply = async (block) => (await video.open()).mountReply(block);
export const mountMethods = async (block) => (await methods.open()).methodCards(store, block);

/** The link to the slider works from every tab. */
function skip(event) {
  if (!event.target.closest?.(".vt-skip")) return;
  event.preventDefault();
  openTab("Explore");
  const slider = document.querySelector("#vt-budget");
  whenSeen(slider, () => slider.focus());
}

/** The link under the title opens the lesson on this very page. */
function how(event) {
  const link = event.target.closest?.(".vt-how");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const asked = new URLSearchParams(link.search);
  address.lessons.open(asked.get("lesson"), Number(asked.get("step")));
}

/** The button "Present", and the key P before anything of it is fetched. */
function presents(event) {
  const pressed = event.key === "p" && !document.body.hasAttribute("data-presenting");
  if (event.type === "click" ? event.target.closest?.(".vt-present") : pressed && isForThePage(event))
    present();
}

/** The button under the picture that lets its tokens leave layer by layer. */
function watches({ target }) {
  if (target.closest?.(".vt-watch")) watch();
}

/** Give an upload its place among the visitor's requests: the message that goes with it. */
export async function takeUpload(picture) {
  if (!picture) return null;
  const question = document.querySelector("#vt-question textarea").value;
  const blob = await fetch(picture.url).then((reply) => (reply.ok ? reply.blob() : null));
  return store.opening.announce({ kind: "picture", question }, blob);
}

window.explorerState = () => snapshot(store, opened);
for (const event of ["pointerover", "pointerdown", "focusin"])
  document.addEventListener(event, near);
whenQuiet(() => fetchAll(Object.values(BEHIND).flat()), AHEAD_MS);
document.addEventListener("keydown", presents);
for (const follow of [skip, how, presents, watches]) document.addEventListener("click", follow);
