// The graph: a camera over the display, and what the pointer does.

const MOST_SCALE = 3;
const ABOVE = 44, BELOW = 52; // pixels that the buttons and the legend take
const CLICK_REACH = 5; // pixels
const UNFOLD_AT_ONCE = 60;

class GraphView {
  constructor(scene, canvas, painter, layouter, tell) {
    Object.assign(this, { scene, canvas, painter, layouter, tell });
    this.context = canvas.getContext("2d");
    this.whole = Box.whole(scene);
    this.opened = new Set([this.whole.key]);
    this.camera = { x: 0, y: 0, scale: 1 };
    this.display = null;
    this.found = null; // kernels, ascending
    this.selected = null; // kernel
    this.chosen = null; // key of a box
    this.hoveredEdge = null;
    this.pending = false;
    this.minimap = new Minimap(document.getElementById("minimap"), this);
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.listen();
  }

  resize() {
    this.ratio = devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.canvas.width = this.width * this.ratio;
    this.canvas.height = this.height * this.ratio;
    if (this.width) this.layouter.aspectRatio = this.width / this.height;
    if (this.fitted) this.fit();
    this.repaint();
  }

  /** Lays out what is open, and keeps a box where it was on the screen. */
  async refresh(anchor) {
    const before = anchor && this.display?.byKey.get(anchor.key);
    await this.layouter.open(this.whole, this.opened);
    this.display = new Display(this.whole, this.opened);
    const after = anchor && this.display.byKey.get(anchor.key);
    if (before && after) {
      this.camera.x += after.x - before.x;
      this.camera.y += after.y - before.y;
    }
    this.repaint();
  }

  repaint() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      if (!this.display || !this.width) return;
      this.painter.paint(this.context, this);
      this.minimap.paint();
      this.tell.painted?.();
    });
  }

  fit() {
    if (!this.display || !this.width) return;
    const { width, height } = this.display;
    const room = this.height - ABOVE - BELOW;
    const scale = Math.min(this.width / width, room / height, 1.25) * 0.98;
    const y = height / 2 - (ABOVE + room / 2) / scale;
    this.camera = { scale, x: (width - this.width / scale) / 2, y };
    this.fitted = true;
    this.repaint();
  }

  centre(x, y) {
    this.fitted = false;
    this.camera.x = x - this.width / this.camera.scale / 2;
    this.camera.y = y - this.height / this.camera.scale / 2;
    this.repaint();
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const { camera } = this;
    const least = this.display ? Math.min(this.width / this.display.width, this.height / this.display.height) / 2 : 0.01;
    const scale = Math.min(MOST_SCALE, Math.max(Math.min(least, 1), camera.scale * factor));
    camera.x += x / camera.scale - x / scale;
    camera.y += y / camera.scale - y / scale;
    camera.scale = scale;
    this.fitted = false;
    this.repaint();
  }

  move(dx, dy) {
    this.camera.x += dx / this.camera.scale;
    this.camera.y += dy / this.camera.scale;
    this.fitted = false;
    this.repaint();
  }

  itemOf(kernel) {
    return this.display.holding(this.whole, kernel);
  }

  async toggle(box) {
    if (!box.canOpen) return;
    if (!this.opened.delete(box.key)) this.opened.add(box.key);
    this.fitted = false;
    await this.refresh(box);
  }

  async unfoldVisible() {
    const sight = {
      left: this.camera.x, top: this.camera.y, right: this.camera.x + this.width / this.camera.scale,
      bottom: this.camera.y + this.height / this.camera.scale,
    };
    const folded = this.display.items.filter(
      (item) => !item.open && item.box.canOpen && hasMoreInside(this.scene, item.box) && meets(item, sight),
    );
    const blocks = folded.filter((item) => item.box.kind === "block");
    for (const item of (blocks.length ? blocks : folded).slice(0, UNFOLD_AT_ONCE)) this.opened.add(item.box.key);
    await this.refresh();
    this.fit();
  }

  async foldAll() {
    this.opened = new Set([this.whole.key]);
    await this.refresh();
    this.fit();
  }

  /** Opens the blocks around a kernel, selects it and moves it into sight. */
  async reveal(kernel) {
    for (const box of this.whole.pathTo(kernel)) if (box.kind === "block") this.opened.add(box.key);
    await this.refresh();
    this.select(kernel);
    const item = this.itemOf(kernel);
    if (this.camera.scale < 0.55 || this.camera.scale > 2) this.camera.scale = 0.9;
    this.centre(item.x + item.width / 2, item.y + item.height / 2);
  }

  select(kernel, key = null) {
    this.selected = kernel;
    this.chosen = key;
    this.repaint();
  }

  toWorld(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const x = event.clientX - left, y = event.clientY - top;
    return { x, y, wx: this.camera.x + x / this.camera.scale, wy: this.camera.y + y / this.camera.scale };
  }

  listen() {
    const { canvas } = this;
    let drag = null;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = this.toWorld(event);
      const lines = event.deltaMode === 1 ? 16 : 1;
      if (event.shiftKey) this.move(event.deltaY * lines, 0);
      else this.zoom(Math.exp(-event.deltaY * lines * 0.0016), x, y);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      drag = { x: event.clientX, y: event.clientY, moved: 0 };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drag) return this.hover(event);
      drag.moved += Math.abs(event.clientX - drag.x) + Math.abs(event.clientY - drag.y);
      this.move(drag.x - event.clientX, drag.y - event.clientY);
      [drag.x, drag.y] = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointerup", (event) => {
      if (drag && drag.moved < CLICK_REACH) this.click(event);
      drag = null;
    });
    canvas.addEventListener("dblclick", (event) => {
      const { wx, wy } = this.toWorld(event), item = this.display?.boxAt(wx, wy);
      if (item) this.toggle(item.box);
    });
    canvas.addEventListener("pointerleave", () => this.tell.hover(null));
  }

  hover(event) {
    if (!this.display) return;
    const { wx, wy } = this.toWorld(event);
    const item = this.display.boxAt(wx, wy);
    const inside = item && !item.open;
    const edge = inside ? null : this.display.edgeAt(wx, wy, 5 / this.camera.scale);
    if (edge !== this.hoveredEdge) {
      this.hoveredEdge = edge;
      this.repaint();
    }
    this.tell.hover(edge ?? (inside ? item.box : null), event);
  }

  click(event) {
    if (!this.display) return;
    const { wx, wy } = this.toWorld(event), item = this.display.boxAt(wx, wy);
    if (!item) return this.tell.select(null);
    const { box } = item;
    const onSign = item.open
      ? wx < item.x + 24 && wy < item.y + HEAD
      : box.canOpen && wx > item.x + item.width - 22 && wy < item.y + 24;
    if (onSign && hasMoreInside(this.scene, box)) return this.toggle(box);
    return this.tell.select(box);
  }
}
