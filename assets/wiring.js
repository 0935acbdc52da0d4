/**
 * The page's one store, and the two hidden components that carry questions to the server.
 * Everything a question needs stands in the component's value: the event itself carries nothing.
 */
(() => {
  const app = (window.explorer ??= {});

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

  /** The hidden component of the wish for larger curves: {case, method, budget}. */
  app.mountEnlarge = (element, props, trigger) => {
    app.enlarge = () => {
      const { case: open, method, budget } = app.store.state;
      props.value = { case: open.id, method, budget };
      trigger("enlarge");
    };
  };

  /** The hidden component of a few questions: {case, method, budgets, ticket}. */
  app.mountFill = (element, props, trigger) => {
    app.store.asking.connect("fill", (value) => {
      props.value = value;
      trigger("fill");
    });
  };
})();
