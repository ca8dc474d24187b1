// Timeline: a row of kernels for each device, one for the copies that arrive there, and its memory below.

const ROW = 26, COPY_ROW = 14, LEFT = 130, TOP = 30, GAP = 14;
const MOST_OTHER = 3; // times as long as this plan: so much of the other one is in sight at first
const MEMORY_ROWS = [[1, 260], [4, 84], [Infinity, 42]]; // height, by the most devices

class Timeline {
  constructor(scene, canvas, theme, tell) {
    Object.assign(this, { scene, canvas, theme, tell, found: null, selected: null });
    this.ownMs = Math.max(1e-9, maximum(scene.end_ms), maximum(scene.copy_end_ms));
    this.otherEnds = Float64Array.from(this.comparable ? scene.other_start_ms : [], (ms, i) => ms + (scene.other_ms[i] || 0));
    this.nowOf = new Map(); // a kernel of this plan by group of what changed
    scene.group?.forEach((group, k) => group >= 0 && !this.nowOf.has(group) && this.nowOf.set(group, k));
    this.endMs = Math.max(this.ownMs, this.otherEnds.at(-1) ?? 0);
    this.from = 0;
    this.span = Math.min(this.endMs, MOST_OTHER * this.ownMs);
    this.bars = scene.devices.map(() => []);
    for (let k = 0; k < scene.numKernels; k++) if (scene.end_ms[k] > scene.start_ms[k]) this.bars[scene.device[k]].push(k);
    for (const row of this.bars) row.sort((a, b) => scene.start_ms[a] - scene.start_ms[b]);
    this.arrivals = scene.devices.map(() => []);
    scene.copy_value.forEach((_, i) => this.arrivals[scene.copy_device[i]].push(i));
    for (const row of this.arrivals) row.sort((a, b) => scene.copy_start_ms[a] - scene.copy_start_ms[b]);
    this.otherBars = scene.devices.map(() => []);
    this.otherEnds.forEach((end, i) => end > scene.other_start_ms[i] && this.otherBars[scene.other_device[i]]?.push(i));
    this.rows = this.placed();
    canvas.style.height = `${this.rows.at(-1).y + this.rows.at(-1).height + 20}px`;
    new ResizeObserver(() => this.repaint()).observe(canvas);
    this.listen();
  }

  /** Whether times of another plan are known that these can stand beside. */
  get comparable() {
    return this.scene.measured && this.scene.other_start_ms?.every(Number.isFinite);
  }

  placed() {
    const rows = [], few = this.scene.devices.length === 1;
    const [, memoryHeight] = MEMORY_ROWS.find(([most]) => this.scene.devices.length <= most);
    let y = TOP;
    const add = (kind, device, height) => {
      rows.push({ kind, device, y, height });
      y += height + (kind === "memory" ? GAP : 4);
    };
    this.scene.devices.forEach((_, device) => {
      if (!this.bars[device].length && this.scene.devices.length > 12) return;
      add("kernels", device, few ? 2 * ROW : ROW);
      if (this.arrivals[device].length) add("copies", device, COPY_ROW);
      if (this.otherBars[device].length) add("other", device, ROW);
      add("memory", device, memoryHeight);
    });
    return rows;
  }

  repaint() {
    if (this.pending || !this.canvas.clientWidth) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.paint();
    });
  }

  get scale() { // pixels of a millisecond
    return (this.width - LEFT - 16) / this.span;
  }

  x(ms) {
    return LEFT + (ms - this.from) * this.scale;
  }

  paint() {
    const { canvas, theme } = this, ratio = devicePixelRatio || 1, context = canvas.getContext("2d");
    [this.width, this.height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = this.width * ratio;
    canvas.height = this.height * ratio;
    context.scale(ratio, ratio);
    context.fillStyle = theme.page;
    context.fillRect(0, 0, this.width, this.height);
    this.axis(context);
    for (const row of this.rows) {
      if (row.kind !== "copies" || row.height > 10) {
        const label = { kernels: this.scene.devices[row.device], copies: "copies to it", memory: "memory",
          other: this.scene.other_title }[row.kind];
        const font = row.kind === "kernels" ? `600 12px ${FONT}` : `11px ${FONT}`;
        write(context, label, 14, row.y + Math.min(row.height / 2, ROW) + 4, LEFT - 22, theme.text, font);
      }
      context.save();
      context.beginPath();
      context.rect(LEFT, row.y - 2, this.width - LEFT - 16, row.height + 4);
      context.clip();
      if (row.kind === "memory") this.memory(context, row);
      else if (row.kind === "kernels") this.kernels(context, row);
      else if (row.kind === "other") this.otherKernels(context, row);
      else this.copies(context, row);
      context.restore();
      if (row.kind === "memory") this.memoryScale(context, row);
    }
  }

  axis(context) {
    const step = niceStep(this.span / Math.max(2, (this.width - LEFT) / 110));
    context.strokeStyle = this.theme.line;
    context.lineWidth = 1;
    const unit = this.scene.measured ? " ms" : "";
    for (let at = Math.ceil(this.from / step) * step; at <= this.from + this.span; at += step) {
      const x = Math.round(this.x(at)) + 0.5;
      context.beginPath();
      context.moveTo(x, TOP - 6);
      context.lineTo(x, this.height);
      context.stroke();
      const label = `${Number(at.toPrecision(6))}${unit}`, font = `11px ${FONT}`;
      context.font = font;
      const long = context.measureText(label).width; // at the right edge it stands before its line
      write(context, label, x + 3 + long > this.width ? x - 3 - long : x + 3, 16, long, this.theme.soft, font);
    }
  }

  kernels(context, row) {
    const { scene } = this, bars = this.bars[row.device];
    let drawnTo = -1;
    for (let i = this.firstIn(bars, scene.end_ms); i < bars.length; i++) {
      const k = bars[i], left = this.x(scene.start_ms[k]), right = this.x(scene.end_ms[k]);
      if (left > this.width) break;
      const marked = k === this.selected || (this.found && anyIn(this.found, k, k + 1));
      if (right < drawnTo + 0.5 && !marked) continue; // within a pixel that is drawn already
      const width = Math.max(right - left - (right - left > 4 ? 1 : 0), 0.7);
      const look = this.theme.over(this.way.colours[this.way.of(k)], 0.75);
      context.fillStyle = look.fill;
      context.fillRect(left, row.y, width, row.height);
      if (width > 34) {
        const x = Math.max(left, LEFT) + 4;
        write(context, kernelTitle(scene, k), x, row.y + row.height / 2 + 4, right - x - 4, look.text, `11px ${FONT}`);
      }
      if (marked) {
        context.strokeStyle = k === this.selected ? this.theme.accent : this.theme.found;
        context.lineWidth = 2.5;
        context.strokeRect(left, row.y + 1, Math.max(width, 2), row.height - 2);
      }
      drawnTo = right;
    }
  }

  /** The kernels of the other plan, one after another, coloured by what changed. */
  otherKernels(context, row) {
    const { scene, otherEnds: ends } = this, bars = this.otherBars[row.device];
    let drawnTo = -1;
    for (let at = this.firstIn(bars, ends); at < bars.length; at++) {
      const i = bars[at], left = this.x(scene.other_start_ms[i]), right = this.x(ends[i]);
      if (left > this.width) break;
      if (right < drawnTo + 0.5) continue; // within a pixel that is drawn already
      const now = this.nowOf.get(scene.other_group[i]);
      const kind = now === undefined ? "same" : scene.kinds[scene.change[now]];
      const look = this.theme.over(CHANGE_COLOURS[kind], 0.55);
      context.fillStyle = look.fill;
      context.fillRect(left, row.y, Math.max(right - left - (right - left > 4 ? 1 : 0), 0.7), row.height);
      const x = Math.max(left, LEFT) + 4;
      if (right - x > 30) write(context, scene.other_label[i], x, row.y + 17, right - x - 4, look.text, `11px ${FONT}`);
      drawnTo = right;
    }
  }

  copies(context, row) {
    const { scene } = this, arrivals = this.arrivals[row.device];
    context.fillStyle = this.theme.mark;
    for (let i = this.firstIn(arrivals, scene.copy_end_ms); i < arrivals.length; i++) {
      const left = this.x(scene.copy_start_ms[arrivals[i]]), right = this.x(scene.copy_end_ms[arrivals[i]]);
      if (left > this.width) break;
      context.fillRect(left, row.y, Math.max(right - left, 0.7), row.height);
    }
  }

  /** The first bar that may be in sight: ends grow nearly as starts do, so a few before are looked at too. */
  firstIn(bars, ends) {
    return Math.max(0, lowerBound(bars, this.from, (bar) => ends[bar]) - 50);
  }

  curveOf(device) {
    this.curves ??= new Map();
    if (!this.curves.has(device)) {
      const { memory_device: of, memory_ms: ms, memory_bytes: bytes } = this.scene;
      const start = lowerBound(of, device), stop = lowerBound(of, device + 1);
      this.curves.set(device, { ms: ms.subarray(start, stop), bytes: bytes.subarray(start, stop),
        most: maximum(bytes.subarray(start, stop)) });
    }
    return this.curves.get(device);
  }

  memory(context, row) {
    const { ms, bytes, most } = this.curveOf(row.device);
    if (!most) return;
    const top = (size) => row.y + row.height - (size / most) * (row.height - 4);
    context.beginPath();
    context.moveTo(this.x(0), row.y + row.height);
    let level = row.y + row.height;
    for (let i = 0; i < ms.length; i++) {
      const x = this.x(ms[i]);
      if (i + 1 < ms.length && this.x(ms[i + 1]) < LEFT - 2) continue;
      context.lineTo(x, level);
      level = top(bytes[i]);
      context.lineTo(x, level);
      if (x > this.width) break;
    }
    context.lineTo(this.x(this.ownMs), level);
    context.lineTo(this.x(this.ownMs), row.y + row.height);
    context.fillStyle = this.theme.over(PALETTE[row.device % PALETTE.length], 0.35).fill;
    context.strokeStyle = PALETTE[row.device % PALETTE.length];
    context.lineWidth = 1;
    context.fill();
    context.stroke();
  }

  memoryScale(context, row) {
    const { most } = this.curveOf(row.device), capacity = this.scene.capacity_bytes[row.device];
    const room = Number.isFinite(capacity) ? ` of ${amountText(capacity, "B")}` : "";
    const y = row.y + Math.min(row.height / 2, ROW) + 17;
    write(context, `most ${amountText(most, "B")}${room}`, 14, y, LEFT - 18, this.theme.soft, `10px ${FONT}`);
  }

  /** The kernel, or the moment of memory, under the pointer. */
  at(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const ms = this.from + (event.clientX - left - LEFT) / this.scale, y = event.clientY - top;
    const row = this.rows.find((one) => y >= one.y && y <= one.y + one.height);
    if (!row || ms < 0) return { ms };
    const pick = (bars, starts, ends) => {
      const reach = 2 / this.scale;
      const i = bars.findLastIndex((one) => starts[one] <= ms + reach);
      return i >= 0 && ends[bars[i]] >= ms - reach ? bars[i] : null;
    };
    const { scene } = this;
    if (row.kind === "other") return { ms, row, other: pick(this.otherBars[row.device], scene.other_start_ms, this.otherEnds) };
    if (row.kind === "kernels") return { ms, row, kernel: pick(this.bars[row.device], scene.start_ms, scene.end_ms) };
    if (row.kind === "copies") {
      return { ms, row, copy: pick(this.arrivals[row.device], scene.copy_start_ms, scene.copy_end_ms) };
    }
    const curve = this.curveOf(row.device), i = Math.max(0, curve.ms.findLastIndex((one) => one <= ms));
    return { ms, row, bytes: curve.bytes[i] };
  }

  zoom(factor, at) {
    const span = Math.min(this.endMs, Math.max(this.span * factor, this.endMs / 1e6));
    this.from = Math.min(Math.max(0, at - ((at - this.from) * span) / this.span), this.endMs - span);
    this.span = span;
    this.repaint();
  }

  move(ms) {
    this.from = Math.min(Math.max(0, this.from + ms), this.endMs - this.span);
    this.repaint();
  }

  /** Moves a kernel into sight. */
  reveal(k) {
    const { start_ms: start, end_ms: end } = this.scene;
    if (start[k] < this.from || end[k] > this.from + this.span) this.from = start[k] - this.span / 2;
    this.move(0);
  }

  listen() {
    const { canvas } = this;
    let drag = null;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.shiftKey) this.move(((event.deltaY + event.deltaX) / this.width) * this.span);
      else this.zoom(Math.exp(event.deltaY * 0.0016), Math.max(0, this.at(event).ms));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      drag = { x: event.clientX, moved: 0 };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drag) return this.tell.hover(this.at(event), event);
      drag.moved += Math.abs(event.clientX - drag.x);
      this.move((drag.x - event.clientX) / this.scale);
      drag.x = event.clientX;
    });
    canvas.addEventListener("pointerup", (event) => {
      const { kernel, other } = this.at(event);
      const now = this.nowOf.get(this.scene.other_group?.[other]);
      if (drag && drag.moved < CLICK_REACH) this.tell.select(kernel ?? now ?? null);
      drag = null;
    });
    canvas.addEventListener("pointerleave", () => this.tell.hover(null));
  }
}

function maximum(array) {
  return array.reduce((most, one) => (one > most ? one : most), 0);
}

function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= least);
}
