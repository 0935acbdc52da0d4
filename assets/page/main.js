/**
 * The page: its one store, and what Gradio mounts of it. What is not needed to look at the first
 * example comes after it; a tab other than "Explore" is fetched, script and style, when it is opened.
 * Every function takes a Block, see common/bridge.js.
 */
import { announcer, inbound, sender } from "./common/bridge.js";
import { stylesheet } from "./common/dom.js";
import { Store } from "./common/store.js";
import { chips, notes, thumbs } from "./explore/inputs.js";
import { modelLoading } from "./explore/model_picker.js";
import { readout } from "./explore/readout/readout.js";
import { stage } from "./explore/stage/stage.js";
import { snapshot } from "./snapshot.js";

const store = new Store();
const opened = {}; // tabs, by their name

/** Fetch a tab once, with the style sheet beside it; `make` gives what is mounted of it. */
function tab(name, fetchScript, make) {
  let fetched = null;
  return async () => {
    const style = new URL(`./${name}/${name}.css`, import.meta.url);
    fetched ??= Promise.all([fetchScript(), stylesheet(style)]).then(([script]) => make(script));
    return (opened[name] = await fetched);
  };
}

const plot = import("./explore/readout/dominance_plot.js");
const shared = import("./explore/share.js").then((js) => js.share(store));
const compare = tab(
  "compare",
  () => import("./compare/compare.js"),
  (js) => js.compareTab(store),
);
const sweep = tab(
  "sweep",
  () => import("./sweep/sweep.js"),
  (js) => js.sweepTab(store),
);
const debug = tab(
  "debug",
  () => import("./debug/debug.js"),
  (js) => js.debugTab(store),
);
const failures = tab(
  "failures",
  () => import("./failures/failures.js"),
  (js) => js.failuresTab(store),
);
const video = tab(
  "video",
  () => import("./video/video.js"),
  (js) => js.videoTab(),
);
const methods = tab(
  "methods",
  () => import("./methods/methods.js"),
  (js) => js,
);

export const mountThumbs = thumbs;
export const mountChips = chips;
export const mountNotes = notes;
export const mountLoading = modelLoading;
export const mountStage = (block) => stage(store, block);
export const mountReadout = (block) => readout(store, block);
export const mountDominancePlot = async (block) => (await plot).dominancePlot(store, block);
export const mountAsk = (block) => store.answers.connect("ask", announcer(block, "ask"));
export const mountFill = (block) => store.answers.connect("fill", sender(block, "fill"));
export const mountTune = (block) => store.maps.connect(sender(block, "tune"));
export const mountTuned = (block) => inbound(block, (reply) => store.maps.receive(reply));
export const mountLink = async (block) => (await shared).mountLink(block);
export const mountShare = async (block) => (await shared).mountButtons(block);
export const mountSave = async (block) => (await shared).mountSave(block);
export const mountOpen = async (block) => (await shared).mountOpen(block);
export const mountDownload = async (block) => (await shared).mountDownload(block);
export const mountStored = async (block) => (await shared).mountStored(block);

export const mountCompare = async (block) => (await compare()).mount(block);
export const mountCompareRequest = async (block) => (await compare()).mountRequest(block);
export const mountSweep = async (block) => (await sweep()).mount(block);
export const mountSweepRequest = async (block) => (await sweep()).mountRequest(block);
export const mountDebug = async (block) => (await debug()).mount(block);
export const mountTask = async (block, name) => (await debug()).mountRequest(block, name);
export const mountTaskReply = async (block, name) => (await debug()).mountReply(block, name);
export const mountRegion = async (block) => (await debug()).region.mount(block);
export const mountRegionRequest = async (block) => (await debug()).region.mountRequest(block);
export const mountFailures = async (block) => (await failures()).mount(block);
export const mountFailuresRequest = async (block) => (await failures()).mountRequest(block);
export const mountVideo = async (block) => (await video()).mount(block);
export const mountVideoRequest = async (block) => (await video()).mountRequest(block);
export const mountVideoReply = async (block) => (await video()).mountReply(block);
export const mountMethods = async (block) => (await methods()).methodCards(store, block);

window.explorerState = () => snapshot(store, opened);
