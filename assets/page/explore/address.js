/**
 * What is looked at stands in the address: picture, question, model, method, budget and tab. A reload
 * finds it again, and Back undoes: another case, method or tab is a step of the history, a budget is
 * not. Links that others have sent are followed in the same way. While a lesson sets what is shown,
 * its name and step stand there instead, and what the visitor had looked at before comes back after it.
 */
import { openTab, openedTab } from "../common/bridge.js";
import { onForgotten } from "../common/request.js";
import { FIRST_METHOD } from "../common/store.js";
import { keep, toldAbout, uploadAgain } from "./own_pictures.js";

const REST_MS = 300; // browsers refuse an address that changes more often
const AGAIN_MS = 10_000; // between two times that a forgotten case is opened anew
const FIRST_TAB = "Explore";
const FIRST = { method: FIRST_METHOD }; // asks for the example with which the page begins
const OF_A_CASE = ["scene", "picture", "question", "model"];
const NAMES = ["example", ...OF_A_CASE, "method", "budget", "tab", "lesson", "step"];

/** The address of what is on the page, without what stands in it otherwise. */
export function queryOf({ state: { case: open, method, requested } }) {
  const scene = typeof open.seed === "number";
  const place = scene ? { scene: open.seed } : { picture: open.picture.digest };
  const { question, model } = open;
  return new URLSearchParams({ ...place, question, model, method, budget: requested });
}

const parametersOf = (search) =>
  Object.fromEntries([...new URLSearchParams(search)].filter(([name]) => NAMES.includes(name)));

/** What of the parameters is no case: {method, budget}. */
const shownOf = ({ method, budget }) => ({ method, budget: Number(budget) || undefined });

/** An address with these parameters of ours, and whatever else stands in it. */
function addressWith(query) {
  const all = new URLSearchParams(location.search);
  for (const name of NAMES) all.delete(name);
  for (const [name, value] of query) all.append(name, value);
  return `${location.pathname}?${all}${location.hash}`;
}

/** @param {Store} store */
export class Address {
  #store;
  #shown = null; // the parameters that the address stands for
  #first = null; // those of the page as it came without any
  #plain = !Object.keys(parametersOf(location.search)).length;
  #following = false; // what is shown next is what the address says already,
  #opened = 0; // unless the visitor has asked for something since: how often that was by then
  #restoring = false; // the picture of an address is on its way
  #timer = null;
  #openedAgain = -AGAIN_MS; // when that was done last, in milliseconds
  #lesson = null; // {lesson, step}: the place in a lesson that sets what is shown
  #before = null; // the parameters of what was looked at before it
  lessons = null; // {open(name, step), left()}: is told what the address says of lessons

  constructor(store) {
    this.#store = store;
    store.opening.named = keep;
    onForgotten((reply) => this.#openAgain(reply));
    store.subscribe(() => this.#look());
    window.addEventListener("popstate", () => this.#follow(parametersOf(location.search)));
    // Which tab is open is Gradio's affair; a click may have changed it.
    document.addEventListener("click", () => setTimeout(() => this.#look(), REST_MS));
  }

  /** Follow the address by which the visitor came. */
  begin() {
    const asked = parametersOf(location.search);
    if (Object.keys(asked).length) this.#follow(asked);
  }

  get #here() {
    return this.#lesson ?? this.#looked;
  }

  /** The parameters of what is looked at, lesson or not. */
  get #looked() {
    const query = queryOf(this.#store);
    const tab = openedTab();
    if (tab && tab !== FIRST_TAB) query.set("tab", tab);
    return Object.fromEntries(query);
  }

  /** From now on a place in a lesson stands in the address: {lesson, step}. */
  teach(place) {
    const { state, isOpening } = this.#store;
    if (!this.#lesson) this.#before = this.#shown && state.case && !isOpening ? this.#looked : null;
    this.#lesson = place;
    if (!this.#restoring) this.#following = false; // a step that the visitor has taken
    this.#look();
  }

  /** The lesson is over: what was looked at before it returns, or what it has shown last stays. */
  async leaveLesson() {
    const before = this.#before;
    this.#lesson = this.#before = null;
    if (before) await this.#open(before);
    this.#look();
  }

  #look() {
    // Not put off by what comes meanwhile: answers arrive for seconds, and a reload may be near.
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#settle();
    }, REST_MS);
  }

  #settle() {
    const { state, answers, opening, coming } = this.#store;
    if (!state.case || state.pending || opening.pending || coming || answers.held) return;
    if (this.#restoring) return;
    const here = this.#here;
    const untouched = opening.count === this.#opened;
    if (this.#plain && opening.count === 0) this.#first ??= here;
    const known = untouched && (this.#shown === null || this.#following);
    this.#following = false;
    if (known) this.#shown = here;
    this.#shown ??= {};
    const names = NAMES.filter((name) => here[name] !== this.#shown[name]);
    if (!names.length) return;
    this.#shown = here;
    const to = addressWith(Object.entries(here));
    if (names.every((name) => name === "budget")) history.replaceState(null, "", to);
    else history.pushState(null, "", to);
  }

  /** The server has forgotten the open case: open it anew from what the page holds. */
  async #openAgain({ case: id }) {
    const { state, isOpening } = this.#store;
    const lately = performance.now() - this.#openedAgain < AGAIN_MS;
    if (id !== state.case?.id || isOpening || lately) return;
    this.#openedAgain = performance.now();
    await this.#openNamed(this.#looked);
  }

  /** Open what parameters name; what they leave out is as it was at first. */
  async #follow(asked) {
    this.#following = this.#restoring = true;
    if (asked.lesson) await this.lessons.open(asked.lesson, Number(asked.step) || 1);
    else {
      if (this.#lesson) this.lessons.left();
      this.#lesson = null;
      await this.#open(asked);
    }
    this.#opened = this.#store.opening.count;
    this.#restoring = false;
    this.#look();
  }

  async #open(asked) {
    const { state, opening } = this.#store;
    openTab(asked.tab ?? FIRST_TAB, false);
    const here = state.case && !opening.pending ? this.#looked : null; // else it is about to change
    const wanted = Object.keys(asked).length ? asked : (this.#first ?? FIRST);
    const same = here && !wanted.example && OF_A_CASE.every((name) => wanted[name] === here[name]);
    if (same) this.#store.show(shownOf(wanted));
    else if (Object.keys(wanted).some((name) => name !== "tab")) await this.#openNamed(wanted);
  }

  /** Ask the server for the case that parameters name: a picture of one's own, or a link. */
  async #openNamed(wanted) {
    const { opening } = this.#store;
    const { picture, question = "", model } = wanted;
    if (!picture) {
      opening.ask({ kind: "link", query: `?${new URLSearchParams(wanted)}` });
      return;
    }
    const { path, blob } = await uploadAgain(picture);
    const words = { kind: "picture", question, model, path, show: shownOf(wanted) };
    opening.ask({ ...words, told: toldAbout(picture) }, blob);
  }
}
