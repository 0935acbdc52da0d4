/**
 * The tab "Effects": what pruning does to answers besides saving time. Puts its parts together:
 * probes and captions of the open picture, how firmly its answer stands, and what the command has
 * measured over many scenes.
 */
import { announcer, inbound, valueOf } from "../common/bridge.js";
import { mark, node, rootOf, show, write } from "../common/dom.js";
import { Observable } from "../common/observable.js";
import { Task } from "../common/answers/task.js";
import { captionPanel } from "./captions.js";
import { measuredPanel } from "./measured.js";
import { probePanel } from "./probes.js";
import { stabilityPanel } from "./stability.js";

const HEAD =
  "Does a pruned model see what is not there, miss what is, or change its mind? Method and budget " +
  "are those of the tab Explore; every figure stands beside random of the same cost. One picture " +
  "proves nothing: below, the same is counted over many scenes.";
const CLAIMS =
  "Kong et al. (2505.18227) argue that dropping tokens does more than save time. Not to be seen " +
  "here: steadier training, as nothing is trained. “Overthinking” comes down to length and " +
  "self-contradiction in answers as short as these; coherence over long inputs needs several " +
  "frames (tab Video); how well picture and text go together is MDI and AEI in Explore. The paper " +
  "gives no measure of its own: those of stability are ours.";

/** What is typed of things that are in the picture and of things that are not. */
class Things {
  there = "";
  absent = "";
}

/** Mount the tab. Its value is {strategies, measured}. */
function mount(store, { page, tasks }, block) {
  const root = rootOf(block.element, "vt-effects");
  const { strategies, measured } = valueOf(block);
  const things = new Things();
  const changed = () => page.changed();
  const parts = [
    probePanel(store, tasks.probes, strategies, things, changed),
    captionPanel(store, tasks, things, changed),
    stabilityPanel(store, tasks.stability),
  ];
  const many = measuredPanel(store, measured);
  const coming = node("p", { role: "status", hidden: true });
  root.replaceChildren(
    node("p", { class: "vt-effects-head" }, HEAD),
    coming,
    ...parts.map((part) => part.node),
    many.node,
    node("p", { class: "vt-small vt-effects-claims" }, CLAIMS),
  );
  let seen = null;
  page.subscribe(() => {
    const kase = store.state.case;
    if (!kase || root.offsetParent === null) return;
    const { isOpening } = store; // what is begun now would be about the case that goes
    write(coming, isOpening ? "Opening another picture …" : "");
    show(coming, isOpening);
    for (const part of parts) show(part.node, !isOpening);
    if (isOpening) return;
    if (seen !== kase.id) for (const task of Object.values(tasks)) task.forget();
    seen = kase.id;
    for (const part of parts) part.update();
    mark(root, "data-case", kase.id);
    mark(root, "data-is", tasks.probes.busy ? "busy" : tasks.probes.reply?.rows ? "done" : "waiting");
  });
  store.subscribe(changed);
  new IntersectionObserver(changed).observe(root);
}

/** What Gradio mounts: the tab, and for every task, by its name, the ways out and back. */
export function effectsTab(store) {
  const page = new Observable("effects");
  const names = ["probes", "captions", "stability", "word"];
  const tasks = Object.fromEntries(names.map((name) => [name, new Task(() => page.changed())]));
  return {
    mount: (block) => mount(store, { page, tasks }, block),
    mountRequest: (block, name) => tasks[name].connect(announcer(block, "work")),
    mountReply: (block, name) => inbound(block, (reply) => tasks[name].receive(reply)),
  };
}
