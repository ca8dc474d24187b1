// Puts the parts together: one selection, one search and one colouring for all views.

const byId = (id) => document.getElementById(id);

class App {
  constructor(scene, library) {
    Object.assign(this, { scene, view: "graph", selected: null, box: null });
    this.theme = new Theme();
    this.ways = colourings(scene);
    this.painter = new Painter(scene, this.theme);
    const context = byId("graph-canvas").getContext("2d");
    const layouter = new Layouter(library, (box) => this.painter.measure(context, box));
    this.details = new Details(scene, byId("details"), byId("hint"), (k) => this.go(k));
    this.graph = new GraphView(scene, byId("graph-canvas"), this.painter, layouter, {
      hover: (what, event) => this.details.point(what, event),
      select: (box) => this.select(box),
      painted: () => this.noteFirstPicture(),
    });
    this.timeline = new Timeline(scene, byId("timeline-canvas"), this.theme, {
      hover: (at, event) => this.pointInTime(at, event),
      select: (k) => this.select(k === null ? null : this.kernelBox(k)),
    });
    this.table = new KernelTable(scene, byId("kernel-table"), byId("more-rows"), (k) => this.go(k));
    if (byId("change-table")) sortRows(byId("change-table"), (k) => this.go(k));
    this.search = new Search(scene, byId("search"), byId("search-count"), {
      found: (found) => this.mark(found),
      go: (k) => this.go(k, this.view),
    });
    this.colour("device");
    this.listen();
  }

  listen() {
    for (const tab of document.querySelectorAll("[role=tab]")) {
      tab.addEventListener("click", () => this.open(tab.getAttribute("aria-controls")));
    }
    byId("colour").append(...Object.entries(this.ways).map(([key, way]) => new Option(way.title, key)));
    byId("colour").value = this.wayName;
    byId("colour").addEventListener("change", (event) => this.colour(event.target.value));
    byId("theme").addEventListener("click", () => {
      this.theme.toggle();
      this.repaint();
    });
    byId("help").addEventListener("click", () => this.toggleKeys());
    byId("zoom-in").addEventListener("click", () => this.graph.zoom(1.3));
    byId("zoom-out").addEventListener("click", () => this.graph.zoom(1 / 1.3));
    byId("zoom-fit").addEventListener("click", () => this.graph.fit());
    byId("unfold-all").addEventListener("click", () => this.graph.unfoldVisible());
    byId("fold-all").addEventListener("click", () => this.graph.foldAll());
    byId("timeline-note").textContent = this.timeNote();
    listenToKeys(this);
    this.open("graph");
  }

  async start() {
    this.graph.resize();
    await this.graph.refresh();
    byId("busy").hidden = true;
    this.graph.fit();
  }

  noteFirstPicture() {
    if (this.firstPictureMs !== undefined) return;
    this.firstPictureMs = performance.now();
    document.documentElement.dataset.ready = "true";
  }

  timeNote() {
    const { scene } = this;
    if (!scene.measured) return "No time of a kernel is known: each one is drawn as long as any other, in the plan's order.";
    if (scene.sources.includes("given")) return "As the simulator runs the placement on this machine.";
    const memory = "memory is that of the tensors between them, without inputs and weights";
    if (scene.devices.length === 1) return `Kernels in the plan's order, each as long as it took alone; ${memory}.`;
    const known = scene.copy_ms.every(Number.isFinite);
    return "One after another: kernels in the plan's order, each as long as it took alone, and each copy before the "
      + `first kernel that reads it, ${known ? "as long as predicted" : "drawn without length where its time is not known"}; `
      + `${memory}, and of their copies.`;
  }

  open(name, focus = false) {
    this.view = name;
    for (const tab of document.querySelectorAll("[role=tab]")) {
      const chosen = tab.getAttribute("aria-controls") === name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = !chosen;
    }
    this.details.point(null);
    if (name === "kernels" && !this.table.filled) this.table.fill();
    if (focus) (byId(`${name}-canvas`) ?? byId(`tab-${name}`)).focus();
    this.repaint();
  }

  kernelBox(k) {
    return this.graph.whole.pathTo(k).at(-1);
  }

  /** Selects a kernel and shows where it is. */
  async go(k, view = "graph") {
    if (view !== "timeline") this.open("graph", document.activeElement !== this.search.input);
    this.select(this.kernelBox(k));
    if (view === "timeline") this.timeline.reveal(k);
    else await this.graph.reveal(k);
  }

  select(box) {
    const kernel = !box || box.kind === "block" ? null : box.kind === "op" ? this.scene.kernelOf[box.from] : box.from;
    this.box = box;
    this.selected = kernel;
    this.details.show(box);
    this.graph.select(kernel, box?.key ?? null);
    this.table.select(kernel);
    this.timeline.selected = kernel;
    this.timeline.repaint();
  }

  /** The kernel before or after the selected one. */
  step(by) {
    const k = this.selected === null ? (by > 0 ? 0 : this.scene.numKernels - 1) : this.selected + by;
    if (k >= 0 && k < this.scene.numKernels) this.go(k, this.view);
  }

  /** A kernel that the selected one reads, or that reads it. */
  follow(neighbours) {
    if (this.selected === null) return this.step(1);
    const [next] = neighbours(this.scene.edges, this.selected);
    if (next !== undefined) this.go(next, this.view);
  }

  toggleSelected() {
    if (this.box && this.box.kind !== "op") this.graph.toggle(this.box);
  }

  mark(found) {
    this.graph.found = found;
    this.timeline.found = found;
    this.table.filter(found);
    this.repaint();
  }

  colour(name) {
    this.wayName = name;
    this.painter.way = this.timeline.way = this.ways[name];
    const way = this.ways[name], used = new Set();
    for (let k = 0; k < this.scene.numKernels; k++) used.add(way.of(k));
    byId("legend").innerHTML = [...used].sort((a, b) => a - b)
      .map((one) => `<span><i style="background:${way.colours[one]}"></i>${escaped(way.classes[one])}</span>`)
      .join("") + "<span>stronger: more time</span>";
    this.repaint();
  }

  repaint() {
    this.graph.repaint();
    this.timeline.repaint();
  }

  toggleKeys() {
    const dialog = byId("keys");
    if (dialog.open) dialog.close();
    else dialog.showModal();
  }

  pointInTime(at, event) {
    if (at?.kernel !== undefined && at.kernel !== null) return this.details.point(this.kernelBox(at.kernel), event);
    if (at?.other != null) {
      const { other_label: label, other_ms: ms, other_group: group } = this.scene, same = group[at.other] < 0;
      return this.details.say(`${same ? "the same in both plans" : label[at.other]}: ${msText(ms[at.other])} ms`, event);
    }
    if (at?.bytes === undefined && at?.copy == null) return this.details.point(null);
    const { scene } = this, { copy } = at;
    const text = copy == null
      ? `${amountText(at.bytes, "B")} at ${msText(at.ms)} ms on ${scene.devices[at.row.device]}`
      : `${copyTitle(scene, copy)}: ${copyText(scene, [copy])}`;
    return this.details.say(text, event);
  }
}

async function begin() {
  const starting = inflated("layout-library").then((source) => new LayoutLibrary(new TextDecoder().decode(source)));
  const [library, scene] = await Promise.all([starting, readScene()]);
  const app = new App(scene, library);
  window.planViewer = app;
  await app.start();
}

begin().catch((error) => {
  document.body.classList.add("no-script");
  const trouble = byId("trouble");
  trouble.hidden = false;
  byId("tables-only").hidden = true;
  trouble.textContent = `The graph cannot be drawn in this browser (${error.message}); the tables below can be read.`;
});
