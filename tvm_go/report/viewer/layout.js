// Layers: the Eclipse Layout Kernel (elkjs) in a worker lays out the children of each open box by themselves.

const HEAD = 24; // of an open box, above its children
const PAD = 14;
const FEW = 60; // children up to which the slower, tidier settings are fast enough
const CHAIN = 1.6; // edges for each child up to which a graph is nearly a chain, and is wrapped like a text
const NO_CHAIN_BELOW = 9; // children
const WRAP_ROOM = 0.8; // a wrapped graph gets wider than it is asked to be: its edges need room between the columns
const MOST_EDGES = 2; // edges for each child that are laid out; the lightest others show with the box that is selected

/** Talks to elk-worker.min.js in the way of elkjs' own elk-api.js. */
class LayoutLibrary {
  constructor(source) {
    this.waiting = new Map();
    this.number = 0;
    this.start(source);
    this.ready = this.ask({ cmd: "register", algorithms: ["layered"] });
  }

  start(source) {
    try {
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      this.worker = new Worker(url);
      this.worker.onerror = () => this.startHere(source);
    } catch {
      this.startHere(source);
    }
    this.worker.onmessage = (answer) => this.hear(answer.data);
  }

  /** Where a page may have no worker: in this thread. What was asked before is asked again. */
  startHere(source) {
    const module = { exports: {} };
    new Function("module", "exports", source)(module, module.exports);
    this.worker = new module.exports.Worker();
    this.worker.onmessage = (answer) => this.hear(answer.data);
    for (const { message } of this.waiting.values()) this.worker.postMessage(message);
  }

  ask(request) {
    const message = { ...request, id: this.number++ };
    return new Promise((resolve, reject) => {
      this.waiting.set(message.id, { resolve, reject, message });
      this.worker.postMessage(message);
    });
  }

  hear({ id, data, error }) {
    const asked = this.waiting.get(id);
    this.waiting.delete(id);
    if (error) asked?.reject(new Error(error.message || String(error)));
    else asked?.resolve(data);
  }

  async layered(graph, options) {
    await this.ready;
    return this.ask({ cmd: "layout", graph, layoutOptions: options, options: {} });
  }
}

function elkOptions(children, edges, aspectRatio) {
  const wrapped = children >= NO_CHAIN_BELOW && edges <= CHAIN * children;
  const few = children <= FEW && edges <= 2 * FEW;
  return {
    "elk.algorithm": "layered",
    "elk.direction": "DOWN",
    "elk.edgeRouting": "ORTHOGONAL",
    "elk.aspectRatio": String(aspectRatio),
    "elk.padding": `[top=${PAD},left=${PAD},bottom=${PAD},right=${PAD}]`,
    "elk.spacing.nodeNode": "22",
    "elk.spacing.edgeNode": "12",
    "elk.spacing.edgeEdge": "8",
    "elk.layered.spacing.nodeNodeBetweenLayers": "30",
    "elk.layered.spacing.edgeNodeBetweenLayers": "12",
    "elk.layered.considerModelOrder.strategy": "NODES_AND_EDGES",
    "elk.layered.thoroughness": few ? "5" : "1",
    "elk.layered.nodePlacement.strategy": "BRANDES_KOEPF",
    "elk.layered.layering.strategy": few ? "NETWORK_SIMPLEX" : "LONGEST_PATH",
    "elk.layered.wrapping.strategy": wrapped ? "MULTI_EDGE" : "OFF",
    "elk.layered.wrapping.additionalEdgeSpacing": "30",
  };
}

class Layouter {
  constructor(library, measure) {
    this.library = library;
    this.measure = measure; // gives the width and height of a folded box
    this.aspectRatio = 1.5; // of the canvas
  }

  /** Lays out an open box and all open boxes in it; sizes come from the inside out. Remembers what did not change. */
  async open(box, opened) {
    const sizes = await Promise.all(
      box.children.map(async (child) => {
        if (!opened.has(child.key)) return this.measure(child);
        const inner = await this.open(child, opened);
        return { width: inner.width, height: inner.height + HEAD };
      }),
    );
    const signature = sizes.map((size) => `${size.width}x${size.height}`).join();
    if (box.layout?.signature !== signature) box.layout = { signature, ...(await this.arrange(box, sizes)) };
    return box.layout;
  }

  async arrange(box, sizes) {
    const kept = heaviest(box.links, Math.max(MOST_EDGES * sizes.length, FEW));
    const options = elkOptions(sizes.length, kept.length, box.depth ? 1 : this.aspectRatio * WRAP_ROOM);
    const result = await this.library.layered(
      {
        id: "box",
        children: sizes.map((size, i) => ({ id: `n${i}`, ...size })),
        edges: kept.map((link, i) => ({ id: `e${i}`, sources: [`n${link.from}`], targets: [`n${link.to}`] })),
      },
      options,
    );
    return {
      width: Math.max(result.width, 40),
      height: Math.max(result.height, 30),
      places: result.children.map(({ x, y, width, height }) => ({ x, y, width, height })),
      routes: result.edges.map((edge, i) => ({
        link: kept[i],
        lines: (edge.sections || []).map((part) => [part.startPoint, ...(part.bendPoints || []), part.endPoint]),
      })),
    };
  }
}

/** The links with most bytes, in the order in which they came. */
function heaviest(links, most) {
  if (links.length <= most) return links;
  const least = links.map((link) => link.bytes).sort((a, b) => b - a)[most - 1];
  const above = links.filter((link) => link.bytes > least);
  const equal = links.filter((link) => link.bytes === least).slice(0, most - above.length);
  const chosen = new Set([...above, ...equal]);
  return links.filter((link) => chosen.has(link));
}
