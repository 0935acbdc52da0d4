/**
 * The page's one store, and the two hidden components that carry questions to the server.
 * Everything a question needs stands in the component's value: the event itself carries nothing.
 */
(() => {
  const app = (window.explorer ??= {});
  const NARROW = 760; // pixels; the style sheet's phone begins there

  app.store = new app.Store();

  /**
   * The hidden component of one question: {case, method, budget, ticket}. "announce" tells the
   * server at once which ticket is the newest; "ask" waits in the queue.
   */
  app.mountAsk = (element, props, trigger) => {
    app.store.asking.connect("ask", (value) => {
      props.value = value;
      trigger("announce");
      trigger("ask");
    });
  };

  /** The hidden component of the wish for larger curves: {case, method, budget, narrow}. */
  app.mountEnlarge = (element, props, trigger) => {
    app.enlarge = () => {
      const { case: open, method, budget } = app.store.state;
      const narrow = window.innerWidth <= NARROW;
      props.value = { case: open.id, method, budget, narrow };
      trigger("enlarge");
    };
  };

  /** Bring the larger curves into view: they stand below everything else. */
  app.showLarger = (tries = 60) => {
    const box = document.getElementById("vt-larger"); // Gradio takes some frames to put it there
    if (box?.clientHeight) box.scrollIntoView({ block: "nearest" });
    else if (tries) requestAnimationFrame(() => app.showLarger(tries - 1));
  };

  /** The hidden component of a few questions: {case, method, budgets, ticket}. */
  app.mountFill = (element, props, trigger) => {
    app.store.asking.connect("fill", (value) => {
      props.value = value;
      trigger("fill");
    });
  };
})();
