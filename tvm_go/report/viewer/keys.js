// The keyboard: every view can be used without a pointer.

function listenToKeys(app) {
  const tabs = ["graph", "timeline", "kernels", "changes"];
  const anywhere = {
    "/": () => app.search.input.focus(),
    "?": () => app.toggleKeys(),
    Escape: () => app.select(null),
    ...Object.fromEntries(tabs.map((name, i) => [String(i + 1), () => app.open(name, true)])),
  };
  document.addEventListener("keydown", (event) => {
    if (byId("keys").open) return; // the dialog has keys of its own
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const action = anywhere[event.key] ?? (event.target.matches("canvas, body") ? onCanvas(app, event.key) : undefined);
    if (!action) return;
    event.preventDefault();
    action();
  });
  const bar = document.querySelector("[role=tablist]");
  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = tabs.indexOf(app.view);
    app.open(tabs[(at + step + tabs.length) % tabs.length]);
    document.getElementById(`tab-${app.view}`).focus();
  });
}

function onCanvas(app, key) {
  const { graph, timeline } = app;
  const inGraph = app.view === "graph";
  const actions = {
    "+": () => (inGraph ? graph.zoom(1.3) : timeline.zoom(1 / 1.3, timeline.from + timeline.span / 2)),
    "-": () => (inGraph ? graph.zoom(1 / 1.3) : timeline.zoom(1.3, timeline.from + timeline.span / 2)),
    0: () => (inGraph ? graph.fit() : timeline.zoom(Infinity, 0)),
    ArrowRight: () => app.step(1),
    ArrowLeft: () => app.step(-1),
    ArrowDown: () => app.follow(readersOf),
    ArrowUp: () => app.follow(sourcesOf),
    Enter: () => inGraph && app.toggleSelected(),
    u: () => inGraph && graph.unfoldVisible(),
    f: () => inGraph && graph.foldAll(),
    w: () => inGraph && graph.move(0, -80),
    s: () => inGraph && graph.move(0, 80),
    a: () => (inGraph ? graph.move(-80, 0) : timeline.move(-timeline.span / 8)),
    d: () => (inGraph ? graph.move(80, 0) : timeline.move(timeline.span / 8)),
  };
  actions["="] = actions["+"];
  return ["graph", "timeline"].includes(app.view) ? actions[key] : undefined;
}
