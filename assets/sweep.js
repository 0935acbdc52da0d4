/**
 * The tab "Sweep": where does the answer break? Puts the parts together: the question and its full
 * answer, which methods, what is under way, the plot, the table, and a download of the numbers.
 */
(() => {
  const app = (window.explorer ??= {});
  const { node, write, mark, show, say, segments } = app;
  const SPEAK_MS = 400;
  const DRAW_MS = 250; // between two drawings of the plot,
  const SHARE = 6; // and so many times what the last one took: the model needs the processor, too
  const HOW =
    "Full markers: the full answer; hollow ones: another. Dotted upright: a floor below which a method can't go. " +
    "Band: lowest and highest draw of random, dashed its mean. Below, dashed across: MDI of all tokens; dotted: balance of text and picture.";

  app.sweeping = new app.Sweeping(app.store);

  /** Show a method at a budget in the tab "Explore". */
  function open(key, budget) {
    app.store.chooseMethod(key);
    app.store.moveBudget(budget);
    app.openTab("Explore");
  }

  /** Which methods: a box for each, those that are slow among them. */
  function chooser(sweeping) {
    const count = node("summary");
    const list = node("div", { class: "vt-sweep-methods", role: "group", "aria-label": "Methods of the sweep" });
    const whole = node("details", { class: "vt-sweep-choice" }, count, list);
    let offered = "";
    let boxes = [];

    function offer(methods) {
      boxes = methods.map(({ key, title }) => {
        const box = node("input", { type: "checkbox", value: key });
        box.addEventListener("change", () => sweeping.choose(key, box.checked));
        return { key, box, whole: node("label", {}, box, title) };
      });
      list.replaceChildren(...boxes.map((each) => each.whole));
    }

    const update = (kase) => {
      const there = new Set(kase.methods.map(({ key }) => key));
      const slow = (kase.later ?? []).filter(({ key }) => !there.has(key));
      const methods = [
        ...kase.methods.filter(({ key }) => key !== sweeping.draws[0]),
        ...slow.map((method) => ({ ...method, title: `${method.title} · slow` })),
      ];
      const now = JSON.stringify(methods.map(({ key }) => key));
      if (now !== offered) offer(methods);
      offered = now;
      const { chosen } = sweeping.state;
      for (const { key, box } of boxes) box.checked = chosen.includes(key);
      write(count, `Methods: ${sweeping.methods.length} of ${methods.length}, and always random`);
      const coming = slow.filter(({ key }) => chosen.includes(key)).map(({ title }) => title);
      mark(whole, "data-coming", coming.length ? coming.join(", ") : null);
    };
    return { node: whole, update };
  }

  /** The chosen methods with their lines: what is what in the plot. */
  function legend() {
    const list = node("ul", { class: "vt-sweep-legend", "aria-hidden": "true" });
    let drawn = "";
    const update = (curves) => {
      const now = JSON.stringify(curves.map(({ key, place }) => [key, place]));
      if (drawn === now) return;
      drawn = now;
      list.replaceChildren(
        ...curves.map(({ place, title }) => node("li", {}, app.lineSwatch(place), title)),
      );
    };
    return { node: list, update };
  }

  /** "VisionZip keeps the full answer down to 24, FastV to 48; random to 64–128." */
  function inWords({ curves, random, cancelled, missing, n }) {
    const done = curves.filter((curve) => curve.done);
    const rest = cancelled && missing ? `Stopped: ${missing} answers are missing.` : "";
    if (!done.length) return rest;
    const parts = done.map(({ title, safe }, i) => {
      const where = safe === n ? "only with all tokens" : `down to ${say.count(safe)}`;
      return i ? `${title} ${where}` : `${title} keeps the full answer ${where}`;
    });
    const sum = app.randomInSum(random);
    const chance = sum ? `; random down to ${sum.safe}` : "";
    return `${parts.join(", ")}${chance}. ${rest}`.trim();
  }

  /** What is under way, and how to stop it. */
  function progressLine(sweeping) {
    const bar = node("progress", { "aria-hidden": "true", max: 1, value: 0 });
    const says = node("p", { class: "vt-sweep-says" });
    const cancel = node("button", { type: "button", class: "vt-ask", id: "vt-sweep-cancel" }, "Cancel");
    const call = node("button", { type: "button", class: "vt-ask", id: "vt-sweep-call" });
    const spoken = node("p", { class: "vt-spoken", id: "vt-sweep-live", "aria-live": "polite" });
    let speak = 0;
    let next = "";
    cancel.addEventListener("click", () => sweeping.cancel());
    call.addEventListener("click", () => sweeping.call());

    const update = (shown) => {
      const { all, missing, busy } = shown;
      const done = all - missing;
      bar.value = all ? done / all : 0;
      mark(bar, "data-on", busy ? "" : null);
      show(cancel, busy);
      show(call, sweeping.waits);
      write(call, sweeping.cancelled ? "Go on" : `Ask ${missing} times`);
      const sentence = inWords(shown);
      const under = busy ? `Answer ${say.count(Math.min(done + 1, all))} of ${say.count(all)} …` : sentence;
      const coming = app.store.state.pending && "Every method scores the new picture now …";
      write(says, coming || sweeping.error || under);
      const words = busy ? "" : sentence;
      if (words === next) return;
      next = words;
      clearTimeout(speak); // not while answers still come
      speak = setTimeout(() => write(spoken, words), SPEAK_MS);
    };
    const whole = node("div", { class: "vt-sweep-progress" }, says, cancel, call, bar, spoken);
    return { node: whole, update };
  }

  /** The plot, and a line that says what the pointer is on; a click opens it. */
  function plot(sweeping) {
    const box = node("div", { class: "vt-sweep-plot", role: "img", "aria-label": "Probability of the full answer and MDI against the budget; the table below has the same numbers" });
    const line = node("p", { class: "vt-sweep-line vt-soft" });
    const words = node("span");
    const go = node("button", { type: "button", class: "vt-ask", hidden: true }, "Open in Explore");
    line.append(words, go);
    let touched = null;
    let timer = 0;
    let last = 0;
    let drawn = null;
    let ready = null;
    const touch = window.matchMedia("(hover: none)");
    go.addEventListener("click", () => touched && open(...touched));

    function clicked({ points }) {
      const at = points.find(({ customdata }) => customdata)?.customdata;
      if (!at) return;
      const [key, budget] = at;
      if (!touch.matches) return open(key, budget);
      touched = at; // a finger can't hover: the first tap tells, the button opens
      const curve = sweeping.curves.find((each) => each.key === key);
      const point = curve?.points.find((each) => each.budget === budget);
      write(words, point ? app.pointInWords(curve.title, point) : `Random, ${budget} tokens`);
      show(go, true);
    }

    async function draw(shown) {
      const plotly = (ready ??= await app.plotly().catch((error) => write(words, error.message)));
      if (!plotly || !box.isConnected) return;
      const first = !box.data;
      const { traces, layout, config } = app.sweepFigure(box, shown);
      const began = performance.now();
      await plotly.react(box, traces, layout, config);
      last = performance.now();
      app.lastSweepMs = last - began;
      if (first) box.on("plotly_click", clicked);
      mark(box, "data-points", traces.reduce((sum, { customdata }) => sum + (customdata?.length ?? 0), 0));
    }

    const update = (shown) => {
      const now = JSON.stringify([
        shown.id,
        shown.stage,
        box.clientWidth,
        shown.curves.map(({ key, place, points }) => [key, place, points.map(({ likely }) => likely)]),
        shown.chance.map((each) => each?.mean),
      ]);
      if (now === drawn) return;
      drawn = now;
      clearTimeout(timer);
      const pause = Math.max(DRAW_MS, SHARE * (app.lastSweepMs ?? 0));
      timer = setTimeout(() => draw(shown), Math.max(0, last + pause - performance.now()));
    };
    new ResizeObserver(() => sweeping.changed()).observe(box);
    return { nodes: [box, line], update };
  }

  function save(sweeping) {
    const { case: kase, full, curves, random } = sweeping;
    app.download(`sweep-${kase.id}.csv`, "text/csv", app.csv(app.sweepRows(kase, full, curves, random)));
  }

  /** What the tab shows now. */
  function shownBy(sweeping) {
    const { case: kase, full, curves, random, chance, wanted, busy, cancelled } = sweeping;
    return {
      id: kase.id,
      n: kase.grid.n,
      curves,
      random,
      chance,
      ladder: (random[0]?.points ?? []).map(({ budget }) => budget),
      full,
      perToken: app.isLong(full),
      stage: sweeping.state.stage,
      all: wanted.length,
      missing: sweeping.missing.length,
      busy,
      cancelled,
    };
  }

  /**
   * Mount the tab on its component. Its value is {draws, first, reply}: specs of the draws of random,
   * the methods that are chosen at first, and the latest reply of the server (see Sweeping.receive).
   */
  app.mountSweep = (element, props, watch) => {
    const { sweeping } = app;
    const root = app.root(element, "vt-sweep");
    const { draws, first } = props.value;
    sweeping.draws = draws;
    for (const key of first) sweeping.choose(key, true);
    const top = app.caption();
    const choice = chooser(sweeping);
    const names = legend();
    const progress = progressLine(sweeping);
    const picture = plot(sweeping);
    const table = app.sweepTable(open);
    const stages = segments("Layers of the MDI", app.MDI_STAGES.map((name) => [name, name]), (name) => sweeping.listen(name));
    const csv = node("button", { type: "button", class: "vt-ask", id: "vt-sweep-csv", title: "Download the table and all points" }, "CSV");
    csv.addEventListener("click", () => save(sweeping));
    const tools = node("div", { class: "vt-sweep-tools" }, node("span", { class: "vt-small" }, "MDI of layers"), stages.group, csv);
    root.replaceChildren(
      top.node,
      node("section", { class: "vt-panel" }, choice.node, progress.node, names.node, ...picture.nodes, tools, node("p", { class: "vt-note" }, HOW)),
      table.node,
    );
    const draw = () => {
      const shown = shownBy(sweeping);
      top.update(sweeping.case, sweeping.full);
      choice.update(sweeping.case);
      progress.update(shown);
      names.update(shown.curves);
      picture.update(shown);
      table.update(shown);
      stages.press(shown.stage);
      csv.disabled = !shown.curves.some(({ points }) => points.some(({ answer }) => answer));
      mark(root, "data-case", shown.id);
      mark(root, "data-is", shown.busy ? "busy" : shown.missing ? "waiting" : "done");
    };
    app.plotly().catch(() => {}); // while the first answers are worked out
    sweeping.subscribe(draw, () => root.offsetParent !== null);
    new IntersectionObserver(() => sweeping.wake()).observe(root);
    sweeping.receive(props.value.reply);
    watch("value", () => sweeping.receive(props.value.reply));
  };

  /** The hidden component that carries what is asked: {case, wanted, ticket}. */
  app.mountSweeping = (element, props, trigger) => {
    app.sweeping.connect((value, event) => {
      props.value = value;
      trigger("announce");
      if (event === "work") trigger("work");
    });
  };
})();
