/**
 * The tab "Compare": all methods on the open picture at one budget. Puts the parts together: the
 * question and its full answer, one slider for all, the cards, two of them large, agreement and
 * disputed patches, and a download of the numbers.
 */
(() => {
  const app = (window.explorer ??= {});
  const { node, write, mark, show, say, segments } = app;
  const SPEAK_MS = 400;

  app.comparing = new app.Comparing(app.store);

  /** The question, the full answer and the truth, where it is known. */
  app.caption = () => {
    const [question, full, truth] = ["b", "b", "b"].map((tag) => node(tag));
    const note = node("span", { class: "vt-verdict" });
    const truthLine = node("span", { class: "vt-soft" }, " ground truth ", truth);
    const line = node(
      "p",
      { class: "vt-compare-caption" },
      question,
      node("span", { class: "vt-soft" }, " full answer ", full),
      truthLine,
      note,
    );
    const update = (kase, answer) => {
      write(question, kase.question);
      write(full, answer?.text ?? "…");
      show(truthLine, Boolean(kase.truth));
      write(truth, kase.truth ?? "");
      const right = answer?.right;
      write(note, typeof right !== "boolean" ? "" : right ? " ✓ right" : " ✗ wrong");
      mark(note, "data-right", right === true ? "" : null);
    };
    return { node: line, update };
  };

  /** One slider for all, its big number and what is under way. */
  function hand(comparing) {
    const number = node("output", { class: "vt-number", id: "vt-compare-number" });
    const share = node("span", { class: "vt-share" });
    const input = node("input", {
      type: "range",
      id: "vt-compare-budget",
      class: "vt-range",
      min: 1,
      step: 1,
      "aria-label": "Budget of all methods: visual tokens kept, mean over layers",
    });
    const progress = node("progress", { "aria-hidden": "true", max: 1, value: 0 });
    const says = node("span", { class: "vt-compare-says" });
    const cancel = node("button", { type: "button", class: "vt-ask", id: "vt-compare-cancel" }, "Cancel");
    const call = node("button", { type: "button", class: "vt-ask", id: "vt-compare-call" });
    const spoken = node("p", { class: "vt-spoken", id: "vt-compare-live", "aria-live": "polite" });
    let speak = 0;
    let next = "";

    input.addEventListener("pointerdown", () => comparing.hold());
    window.addEventListener("pointerup", () => comparing.release());
    window.addEventListener("pointercancel", () => comparing.release());
    input.addEventListener("input", () => comparing.move(input.valueAsNumber));
    cancel.addEventListener("click", () => comparing.cancel());
    call.addEventListener("click", () => comparing.call());

    const update = (entries, sentence) => {
      const { state, case: kase, busy, waits } = comparing;
      const { n } = kase.grid;
      write(number, say.count(state.budget));
      write(share, `of ${say.count(n)} visual tokens, mean over layers`);
      mark(input, "max", n);
      if (input.valueAsNumber !== state.budget) input.value = state.budget;
      input.style.setProperty("--vt-at", (state.budget - 1) / Math.max(1, n - 1));
      mark(input, "aria-valuetext", `${state.budget} of ${n} visual tokens`);
      const { length: all } = comparing.wanted;
      const done = all - comparing.missing.length;
      progress.value = done / all;
      mark(progress, "data-on", busy ? "" : null);
      show(cancel, busy);
      show(call, waits);
      write(call, comparing.cancelled ? "Go on" : `Ask ${all - done} times`);
      const under = busy ? `Answer ${say.count(done + 1)} of ${say.count(all)} …` : sentence;
      const coming = app.store.state.pending && "Every method scores the new picture now …";
      write(says, coming || comparing.error || under);
      const words = busy ? "" : `${state.budget} of ${n} kept. ${sentence}`;
      if (words && words !== next) {
        next = words;
        clearTimeout(speak); // a moving hand would make a screen reader stumble
        speak = setTimeout(() => write(spoken, words), SPEAK_MS);
      }
    };
    const whole = node(
      "div",
      { class: "vt-compare-hand" },
      node("div", { class: "vt-compare-row" }, number, share, cancel, call),
      input,
      progress,
      node("p", { class: "vt-compare-status" }, says),
      spoken,
    );
    return { node: whole, update };
  }

  /** Methods that are slow: they get a card when somebody asks for them. */
  function onDemand() {
    const line = node("p", { class: "vt-small vt-later", hidden: true });
    let offered = "";
    const update = (kase) => {
      const there = new Set(kase.methods.map(({ key }) => key));
      const missing = (kase.later ?? []).filter(({ key }) => !there.has(key));
      show(line, missing.length > 0);
      const now = JSON.stringify([kase.id, missing.map(({ key }) => key)]);
      if (offered === now) return;
      offered = now;
      const buttons = missing.map(({ key, title }) => {
        const button = node("button", { type: "button", class: "vt-ask" }, title);
        button.addEventListener("click", () => {
          app.askMap(key);
          button.disabled = true;
          button.textContent = `${title} …`;
        });
        return button;
      });
      line.replaceChildren("Slow, only when asked for: ", ...buttons);
    };
    return { node: line, update };
  }

  function select(label, id, choices, onChoose) {
    const chooser = node("select", { id, "aria-label": label });
    chooser.replaceChildren(...choices.map(([value, text]) => node("option", { value }, text)));
    chooser.addEventListener("change", () => onChoose(chooser.value));
    return chooser;
  }

  /** Sort, filter, view, download. */
  function tools(comparing, download) {
    const sort = select(
      "Sort by",
      "vt-compare-sort",
      app.SORTS.map(([key, text]) => [key, `sort: ${text}`]),
      (key) => comparing.set({ sort: key }),
    );
    const family = select("Family of methods", "vt-compare-family", app.FAMILIES, (key) =>
      comparing.set({ family: key }),
    );
    const csv = node("button", { type: "button", class: "vt-ask", id: "vt-compare-csv" }, "CSV");
    mark(csv, "title", "Download all numbers of this comparison");
    csv.addEventListener("click", download);
    const views = node("span", { hidden: true });
    let offered = null;
    let press = () => {};

    const update = (entries) => {
      const { case: kase, state } = comparing;
      const many = kase.grid.views.length > 1;
      show(views, many);
      if (many && offered !== kase) {
        const choices = kase.grid.views.map((view, i) => [String(i), view.name]);
        const made = segments("View", choices, (i) =>
          app.store.set({ view: Number(i), cursor: -1 }),
        );
        views.replaceChildren(made.group);
        ({ press } = made);
        offered = kase;
      }
      press(app.store.state.view);
      const right = sort.querySelector("[value=right]");
      right.disabled = !kase.truth;
      if (sort.value !== state.sort) sort.value = state.sort;
      if (family.value !== state.family) family.value = state.family;
      csv.disabled = !entries.some(({ answer }) => answer);
    };
    const framed = [sort, family].map((chooser) => node("span", { class: "vt-select" }, chooser));
    return { node: node("div", { class: "vt-compare-tools" }, views, ...framed, csv), update };
  }

  /** "12 of 17 methods give the full answer, random in 1 of 5 draws; 2 do worse than random." */
  function inWords(comparing, entries) {
    const { chance } = comparing;
    const judged = entries.filter(({ method, answer }) => answer && !method.baseline);
    const left = comparing.missing.length;
    const rest = comparing.cancelled && left ? `Stopped: ${left} answers are missing.` : "";
    if (!judged.length) return rest;
    const same = judged.filter(({ answer }) => answer.same).length;
    const many = judged.length === 1 ? "1 method gives" : `${judged.length} methods give`;
    const parts = [`${same} of ${many} the full answer`];
    if (chance) {
      parts[0] += `, random in ${chance.same} of ${chance.draws} draws`;
      const worse = judged.filter((entry) => entry.worse).length;
      if (worse) parts.push(`${worse} ${worse === 1 ? "does" : "do"} worse than random`);
    }
    const high = entries.filter(({ reached }) => !reached).length;
    if (high) parts.push(`${high} ${high === 1 ? "is" : "are"} shown at the floor`);
    return `${parts.join("; ")}. ${rest}`.trim();
  }

  /** Everything on the page as rows for a spreadsheet. */
  function rowsOf(comparing, entries) {
    const { case: kase, state, chance, full } = comparing;
    const { memory } = app.store;
    const row = (name, budget, answer, more) => ({
      method: name,
      budget_asked: state.budget,
      budget,
      mean_tokens: answer?.mean ?? null,
      tokens_at_last_layer: answer?.final ?? null,
      answer: answer?.text ?? null,
      same_as_full: answer?.same ?? null,
      right: answer?.right ?? null,
      p_full: answer?.p_full ?? null,
      likeness: answer ? app.likeness(answer, full) : null,
      kl: answer?.kl ?? null,
      logprob_lost_per_token: answer?.drop ?? null,
      select_ms: milliseconds(answer, "select"),
      prefill_ms: milliseconds(answer, "prefill"),
      prefill_flops: answer?.flops ?? null,
      kv_bytes: answer?.kv_bytes ?? null,
      worse_than_random: null,
      reached: null,
      patches_kept: null,
      kept: null,
      random_mean: chance?.mean ?? null,
      random_spread: chance?.spread ?? null,
      question: kase.question,
      full_answer: full?.text ?? null,
      truth: kase.truth ?? null,
      model: kase.model ?? null,
      case: kase.id,
      ...more,
    });
    const methods = entries.map((entry) => {
      const { fate } = entry.choice.stages.at(-1);
      const kept = [...fate.keys()].filter((token) => fate[token] === 0);
      const judged = entry.answer && chance && entry.key !== comparing.draws[0];
      return row(entry.key, entry.budget, entry.answer, {
        worse_than_random: judged ? entry.worse : null,
        reached: entry.reached,
        patches_kept: kept.length,
        kept: kept.join(" "),
      });
    });
    const draws = comparing.draws.slice(1).map((draw) => {
      const answer = memory.answer(kase.id, draw, state.budget);
      return row(draw, state.budget, answer, { reached: true });
    });
    return [row("full", kase.grid.n, full, {}), ...methods, ...draws];
  }

  function milliseconds(answer, name) {
    const seconds = answer?.seconds?.[name];
    return typeof seconds === "number" ? Number((1000 * seconds).toPrecision(4)) : null;
  }

  function save(comparing, entries) {
    const { case: kase, state } = comparing;
    const name = `compare-${kase.id}-${state.budget}.csv`;
    app.download(name, "text/csv", app.csv(rowsOf(comparing, entries)));
  }

  /** What follows every move of the hand (draw), and what waits until it is calm (redraw). */
  function follow(comparing, root, parts) {
    const { top, slider, chosen, cards, later, pair, matrix, disputed } = parts;
    let entries = [];

    const draw = () => {
      const { case: kase, state, chance, busy } = comparing;
      ({ entries } = comparing);
      const all = new Map(entries.map((entry) => [entry.key, entry]));
      const random = all.get(comparing.draws[0]);
      if (random && chance) random.random = chance;
      const { pair: shown, budget } = state;
      const { view } = app.store.state;
      top.update(kase, comparing.full);
      slider.update(entries, inWords(comparing, entries));
      chosen.update(entries);
      cards.update(entries, { kase, view, pair: shown, budget, chance, busy });
      later.update(kase);
      pair.update((key) => all.get(key) ?? comparing.entryOf(key));
      mark(root, "data-budget", budget);
      mark(root, "data-case", kase.id);
      mark(root, "data-is", busy ? "busy" : comparing.missing.length ? "waiting" : "done");
    };
    const redraw = () => {
      matrix.update(entries);
      disputed.update(entries);
      mark(root, "data-agreed", comparing.state.budget);
    };
    return { draw, redraw, entries: () => entries };
  }

  /**
   * Mount the tab on its component. Its value is {draws, reply}: specs of the draws of random, and
   * the latest reply of the server (see Comparing.receive).
   */
  app.mountCompare = (element, props, watch) => {
    const { comparing } = app;
    const root = app.root(element, "vt-compare");
    comparing.draws = props.value.draws;
    const pair = app.pairPanel(comparing);
    const show2 = (a, b) => {
      comparing.set({ pair: [a, b] });
      const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      pair.node.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "nearest" });
    };
    const parts = {
      top: app.caption(),
      slider: hand(comparing),
      chosen: tools(comparing, () => save(comparing, made.entries())),
      cards: app.cardGrid(comparing),
      later: onDemand(),
      pair,
      matrix: app.matrixPanel(comparing, show2),
      disputed: app.disputePanel(comparing),
    };
    const made = follow(comparing, root, parts);
    const bar = node("div", { class: "vt-compare-bar" }, parts.slider.node, parts.chosen.node);
    const below = node("div", { class: "vt-compare-two" }, parts.matrix.node, parts.disputed.node);
    root.replaceChildren(
      parts.top.node,
      bar,
      parts.cards.node,
      parts.later.node,
      parts.pair.node,
      below,
    );
    comparing.subscribe(made.draw, made.redraw, () => root.offsetParent !== null);
    new IntersectionObserver(() => comparing.wake()).observe(root);
    comparing.receive(props.value.reply);
    watch("value", () => comparing.receive(props.value.reply));
  };

  /** The hidden component that carries what is asked: {case, wanted, ticket}. */
  app.mountComparing = (element, props, trigger) => {
    app.comparing.connect((value, event) => {
      props.value = value;
      trigger("announce");
      if (event === "work") trigger("work");
    });
  };
})();
