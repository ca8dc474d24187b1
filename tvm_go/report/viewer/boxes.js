// The tree that is folded and unfolded: blocks hold blocks or kernels, kernels hold ops.

class Box {
  /** A block or kernel covers kernels from .. to, an op is number `from`; depth 0 is the whole graph. */
  constructor(scene, kind, level, from, to, parent) {
    Object.assign(this, { scene, kind, level, from, to, parent, key: `${kind}${level}:${from}` });
    this.depth = parent ? parent.depth + 1 : 0;
    this.layout = null; // of its children, once it was opened
  }

  static whole(scene) {
    return new Box(scene, "block", -1, 0, scene.numKernels, null);
  }

  get canOpen() {
    return this.kind !== "op";
  }

  get children() {
    return (this._children ??= this.kind === "kernel" ? this.ops() : this.parts());
  }

  ops() {
    const { op_start: start } = this.scene;
    const found = [];
    for (let op = start[this.from]; op < start[this.to]; op++) found.push(new Box(this.scene, "op", 0, op, op + 1, this));
    return found;
  }

  parts() {
    const level = this.level + 1, cuts = this.scene.levels[level];
    const found = [];
    if (!cuts) {
      for (let k = this.from; k < this.to; k++) found.push(new Box(this.scene, "kernel", 0, k, k + 1, this));
      return found;
    }
    for (let i = lowerBound(cuts, this.from); cuts[i] < this.to; i++) {
      found.push(new Box(this.scene, "block", level, cuts[i], cuts[i + 1], this));
    }
    return found;
  }

  /** Where among the children the kernel, or in a kernel the op, of a number is. */
  childAt(number) {
    return lowerBound(this.children, number + 1, (child) => child.from) - 1;
  }

  /** Milliseconds of all kernels inside; NaN for an op, of which nobody knows. */
  get ms() {
    if (this.kind === "op") return NaN;
    if (this.kind === "kernel") return this.scene.ms[this.from];
    return this.scene.passedMs[this.to] - this.scene.passedMs[this.from];
  }

  /** Edges between children: of each pair the values that cross, their bytes, and the copies among them. */
  get links() {
    return (this._links ??= this.kind === "kernel" ? this.opLinks() : this.kernelLinks());
  }

  opLinks() {
    const { scene } = this, links = new Map();
    for (const child of this.children) {
      for (let use = scene.use_start[child.from]; use < scene.use_start[child.to]; use++) {
        const value = scene.use_value[use], op = scene.value_op[value];
        if (op >= scene.op_start[this.from] && op < scene.op_start[this.to]) {
          linkOf(links, this.childAt(op), this.childAt(child.from), value, scene);
        }
      }
    }
    return [...links.values()];
  }

  kernelLinks() {
    const { scene } = this, { inStart, source, value } = scene.edges, links = new Map();
    let here = 0;
    for (let k = this.from; k < this.to; k++) {
      while (this.children[here].to <= k) here++;
      for (let e = inStart[k]; e < inStart[k + 1]; e++) {
        if (source[e] < this.from) continue;
        const there = source[e] >= this.children[here].from ? here : this.childAt(source[e]);
        if (there === here) continue;
        const link = linkOf(links, there, here, value[e], scene);
        const copy = copyTo(scene, value[e], scene.device[k]);
        if (copy !== undefined) link.copies.add(copy);
      }
    }
    return [...links.values()];
  }

  /** Whether anything outside of the parent is read by, or reads from, what is inside: [in, out]. */
  get open_ends() {
    return (this._ends ??= this.kind === "op" ? [false, false] : this.ends());
  }

  ends() {
    const { inStart, source, outStart, outEdge, reader } = this.scene.edges;
    const { from, to } = this.parent;
    let before = false, after = false;
    for (let e = inStart[this.from]; e < inStart[this.to] && !before; e++) before = source[e] < from;
    for (let i = outStart[this.from]; i < outStart[this.to] && !after; i++) after = reader[outEdge[i]] >= to;
    return [before, after];
  }

  /** The boxes from the whole graph down to that of a kernel. */
  pathTo(kernel) {
    const path = [this];
    while (path.at(-1).kind === "block") path.push(path.at(-1).children[path.at(-1).childAt(kernel)]);
    return path;
  }
}

function linkOf(links, from, to, value, scene) {
  const key = `${from}>${to}`;
  let link = links.get(key);
  if (!link) links.set(key, (link = { from, to, values: new Set(), bytes: 0, copies: new Set() }));
  if (!link.values.has(value)) {
    link.values.add(value);
    link.bytes += scene.value_bytes[value];
  }
  return link;
}
