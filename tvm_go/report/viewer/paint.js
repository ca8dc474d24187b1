// Draws a display on a canvas; what is out of sight is left out, and so are texts too small to read.

const LEAST_TEXT = 4.5; // pixels on the screen
const SMALL_TEXT = 9, SMALL_WIDTH = 46; // pixels on the screen: titles on boxes that are seen from afar
const SHADE_LEAST = 0.1, SHADE_MOST = 0.92; // of a kernel that takes no time, and of the longest

class Painter {
  constructor(scene, theme) {
    Object.assign(this, { scene, theme });
  }

  /** Size of a folded box, from what is written on it. */
  measure(context, box) {
    const [title, line] = boxTexts(this.scene, box);
    const { head, body } = fonts(box);
    context.font = head;
    const first = context.measureText(title).width;
    context.font = body;
    const width = Math.max(first + (box.canOpen ? 22 : 0), context.measureText(line).width) + 26;
    const least = box.kind === "block" ? 220 : box.kind === "kernel" ? 96 : 70;
    const height = box.kind === "block" ? 98 : box.kind === "kernel" ? 46 : 38;
    return { width: Math.ceil(Math.min(Math.max(width, least), 320)), height };
  }

  paint(context, view) {
    const { camera, width, height, display } = view;
    context.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    context.fillStyle = this.theme.page;
    context.fillRect(0, 0, width, height);
    context.setTransform(
      view.ratio * camera.scale, 0, 0, view.ratio * camera.scale, -camera.x * camera.scale * view.ratio,
      -camera.y * camera.scale * view.ratio,
    );
    const sight = {
      left: camera.x, top: camera.y, right: camera.x + width / camera.scale, bottom: camera.y + height / camera.scale,
    };
    const visible = display.items.filter((item) => meets(item, sight));
    for (const item of visible) if (item.open) this.frame(context, item, camera.scale);
    this.edges(context, display.edges.filter((edge) => inSight(edge, sight)), camera.scale, view.hoveredEdge);
    for (const item of visible) if (!item.open) this.folded(context, item, camera.scale, view);
    this.relations(context, view);
    for (const item of visible) this.outline(context, item, view);
  }

  frame(context, item, scale) {
    context.fillStyle = item.box.depth % 2 ? this.theme.panel : this.theme.page;
    context.strokeStyle = item.box.kind === "kernel" ? this.colourOf(item.box.from) : this.theme.line;
    context.lineWidth = item.box.kind === "kernel" ? 2 : 1.2;
    rounded(context, item, 6);
    context.fill();
    context.stroke();
    if (12 * scale < LEAST_TEXT) return;
    const [title, line] = boxTexts(this.scene, item.box);
    write(context, `− ${title}`, item.x + 10, item.y + 16, item.width - 20, this.theme.text, `600 12px ${FONT}`);
    const used = context.measureText(`− ${title}`).width;
    write(context, line, item.x + 20 + used, item.y + 16, item.width - used - 30, this.theme.soft, `11px ${FONT}`);
  }

  folded(context, item, scale, view) {
    const { box } = item, isOp = box.kind === "op";
    const look = isOp ? { fill: this.theme.box, text: this.theme.text } : this.shade(box);
    const { head, body, step, size } = fonts(box);
    context.fillStyle = look.fill;
    if (size * scale < LEAST_TEXT) {
      context.fillRect(item.x, item.y, item.width, item.height);
      if (box.kind === "block") this.strip(context, item);
      this.smallTitle(context, item, scale, look.text);
      return;
    }
    context.strokeStyle = isOp ? this.theme.edge : this.colourOf(box.from);
    context.lineWidth = 1.2;
    rounded(context, item, isOp ? 10 : 5);
    context.fill();
    context.stroke();
    if (box.kind === "block") this.strip(context, item);
    this.openEnds(context, item);
    const [title, line, third] = boxTexts(this.scene, box);
    const room = item.width - 18;
    write(context, title, item.x + 10, item.y + step + 3, room - (box.canOpen ? 14 : 0), look.text, head);
    write(context, line, item.x + 10, item.y + 2 * step + 3, room, look.text, body);
    if (third) write(context, third, item.x + 10, item.y + 3 * step + 3, room, look.text, body);
    if (box.canOpen && hasMoreInside(this.scene, box)) {
      write(context, "+", item.x + item.width - 16, item.y + 18, 12, look.text, `600 14px ${FONT}`);
    }
  }

  /** From afar only the title, as large on the screen as can be read, if the box has room for it; or its numbers. */
  smallTitle(context, item, scale, colour) {
    if (item.height * scale < SMALL_TEXT + 4 || item.width * scale < SMALL_WIDTH) return;
    const size = Math.round((10 * SMALL_TEXT) / scale) / 10;
    const [x, y] = [item.x + 3 / scale, item.y + item.height / 2 + size / 3];
    const title = boxTexts(this.scene, item.box)[0], font = `600 ${size}px ${FONT}`, room = item.width - 5 / scale;
    context.font = font;
    const fits = context.measureText(title).width <= room;
    write(context, fits ? title : title.replace(/^(Ops|Kernels) /, ""), x, y, room, colour, font);
  }

  /** Fill by class and time, text that can be read on it. */
  shade(box) {
    const most = box.kind === "block" ? this.longestSibling(box) : this.scene.longestMs;
    const part = most > 0 && box.ms > 0 ? Math.sqrt(box.ms / most) : 0;
    return this.theme.over(this.classColour(box), SHADE_LEAST + (SHADE_MOST - SHADE_LEAST) * part);
  }

  longestSibling(box) {
    return (box.parent._longest ??= Math.max(...box.parent.children.map((child) => child.ms || 0)));
  }

  colourOf(kernel) {
    return this.way.colours[this.way.of(kernel)];
  }

  /** Of a kernel its class's colour, of a block that of most of its time. */
  classColour(box) {
    return this.way.colours[box.kind === "kernel" ? this.way.of(box.from) : this.shares(box)[0][0]];
  }

  /** Classes in a block with their parts of its time, or of its kernels where no time is known; the largest first. */
  shares(box) {
    if (box.sharesBy?.way !== this.way) {
      const sums = new Map();
      const byTime = box.ms > 0;
      for (let k = box.from; k < box.to; k++) {
        const one = this.way.of(k);
        sums.set(one, (sums.get(one) || 0) + (byTime ? this.scene.ms[k] || 0 : 1));
      }
      const total = byTime ? box.ms : box.to - box.from;
      const parts = [...sums].map(([one, sum]) => [one, sum / total]).sort((a, b) => b[1] - a[1]);
      box.sharesBy = { way: this.way, parts };
    }
    return box.sharesBy.parts;
  }

  strip(context, { box, x, y, width, height }) {
    let left = x + 4;
    for (const [one, part] of this.shares(box)) {
      context.fillStyle = this.way.colours[one];
      context.fillRect(left, y + height - 8, (width - 8) * part, 5);
      left += (width - 8) * part;
    }
  }

  /** Edges of one look are one path: a canvas draws that many times faster than as many paths. */
  edges(context, edges, scale, hovered) {
    const looks = new Map();
    for (const edge of edges) {
      const copied = edge.link.copies.size > 0;
      const width = Math.min(3, 1 + Math.round(Math.max(0, Math.log10(edge.link.bytes / 4096 + 1)) * 1.6) / 2);
      const colour = edge === hovered ? this.theme.accent : copied ? this.theme.mark : this.theme.edge;
      const key = `${colour} ${width} ${copied}`;
      if (!looks.has(key)) looks.set(key, { colour, width: edge === hovered ? width + 1 : width, copied, edges: [] });
      looks.get(key).edges.push(edge);
    }
    const arrows = 9 * scale >= 3;
    for (const look of looks.values()) {
      context.strokeStyle = context.fillStyle = look.colour;
      context.lineWidth = Math.max(look.width, 0.6 / scale);
      context.setLineDash(look.copied ? [7, 4] : []);
      context.beginPath();
      for (const { lines } of look.edges) for (const points of lines) trace(context, points);
      context.stroke();
      if (!arrows) continue;
      context.beginPath();
      for (const { lines } of look.edges) arrow(context, lines.at(-1)?.at(-1));
      context.fill();
    }
    context.setLineDash([]);
    if (10 * scale >= LEAST_TEXT) for (const edge of edges) if (edge.link.copies.size) this.copyLabel(context, edge);
  }

  copyLabel(context, { lines, link }) {
    const points = lines.at(-1);
    if (!points) return;
    const [[x, y], last] = points.slice(-2);
    const text = copyText(this.scene, link.copies);
    write(context, text, x + 5, (y + last[1]) / 2, 150, this.theme.mark, `600 10px ${FONT}`, this.theme.page);
  }

  /** Notches: something outside of the open box around this one is read, or reads. */
  openEnds(context, item) {
    if (item.box.depth < 2 || item.box.kind === "op") return;
    const [before, after] = item.box.open_ends, middle = item.x + item.width - 14;
    context.fillStyle = this.theme.soft;
    for (const [there, y] of [[before, item.y - 6], [after, item.y + item.height + 1]]) {
      if (!there) continue;
      context.beginPath();
      context.moveTo(middle - 4, y);
      context.lineTo(middle + 4, y);
      context.lineTo(middle, y + 5);
      context.fill();
    }
  }

  /** Lines from what the selected kernel or block reads, and to what reads it, straight through all boxes. */
  relations(context, view) {
    const block = view.chosen?.startsWith("block") ? view.display.byKey.get(view.chosen) : null;
    if (view.selected === null && !block) return;
    const draw = (from, to) => {
      if (!from || !to || from === to) return;
      const [x1, y1, x2, y2] = [from.x + from.width / 2, from.y + from.height, to.x + to.width / 2, to.y];
      const bend = Math.max(24, Math.abs(y2 - y1) / 2);
      context.beginPath();
      context.moveTo(x1, y1);
      context.bezierCurveTo(x1, y1 + bend, x2, y2 - bend, x2, y2);
      context.stroke();
    };
    context.strokeStyle = this.theme.accent;
    context.globalAlpha = 0.8;
    context.lineWidth = Math.max(2, 1.5 / view.camera.scale);
    if (block) {
      const { children, links } = block.box.parent, at = children.indexOf(block.box);
      const item = (i) => view.display.byKey.get(children[i].key);
      for (const { from, to } of links) if (from === at || to === at) draw(item(from), item(to));
    } else {
      const { edges } = this.scene, own = view.itemOf(view.selected);
      for (const k of readersOf(edges, view.selected)) draw(own, view.itemOf(k));
      for (const k of sourcesOf(edges, view.selected)) draw(view.itemOf(k), own);
    }
    context.globalAlpha = 1;
  }

  outline(context, item, view) {
    const { box } = item;
    const found = !item.open && box.kind !== "op" && view.found && anyIn(view.found, box.from, box.to);
    const holds = view.selected !== null && box.kind !== "op" && box.from <= view.selected && view.selected < box.to;
    const chosen = view.chosen === box.key || (holds && !item.open);
    if (!found && !chosen) return;
    context.strokeStyle = chosen ? this.theme.accent : this.theme.found;
    context.lineWidth = Math.max(3, 2.5 / view.camera.scale);
    rounded(context, item, 5);
    context.stroke();
  }
}

/** Blocks are large, since they are looked at from afar. */
function fonts(box) {
  if (box.kind === "block") return { head: `600 22px ${FONT}`, body: `16px ${FONT}`, step: 26, size: 19 };
  return { head: `600 12px ${FONT}`, body: `11px ${FONT}`, step: 15, size: 11.5 };
}

function readersOf(edges, k) {
  const found = new Set();
  for (let i = edges.outStart[k]; i < edges.outStart[k + 1]; i++) found.add(edges.reader[edges.outEdge[i]]);
  return found;
}

function sourcesOf(edges, k) {
  return new Set(edges.source.slice(edges.inStart[k], edges.inStart[k + 1]));
}

/** Whether an ascending list of kernels has one of from .. to. */
function anyIn(kernels, from, to) {
  const at = lowerBound(kernels, from);
  return at < kernels.length && kernels[at] < to;
}
