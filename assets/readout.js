/**
 * The right column: answers, cost, dominance. Takes the server's replies in and puts the three
 * panels together.
 */
(() => {
  const app = (window.explorer ??= {});

  /**
   * Mount the right column on the readout component. Its value is {ticket, case, answers}.
   * @param {HTMLElement} element
   * @param {{value: ?Object}} props
   * @param {function(string, function): void} watch
   */
  app.mountReadout = (element, props, watch) => {
    const { store } = app;
    const root = app.root(element, "vt-readout");
    const panels = [app.answerPanel(store), app.costPanel(store), app.dominancePanel(store)];
    root.replaceChildren(...panels.map((panel) => panel.node));
    store.subscribe((state) => {
      app.show(root, Boolean(state.case));
      if (!state.case) return;
      app.mark(root, "data-pending", state.pending ? "" : null);
      for (const panel of state.pending ? panels.slice(0, 1) : panels) panel.update(state);
    });
    store.asking.receive(props.value);
    watch("value", () => store.asking.receive(props.value));
  };
})();
