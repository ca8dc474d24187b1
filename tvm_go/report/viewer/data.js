// Unpacks the scene that Python wrote into the page, and finds which kernel reads which.

/** Bytes of a script element that holds base 64 of gzip. */
async function inflated(id) {
  const bytes = decoded(document.getElementById(id).textContent.trim());
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

function decoded(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** The scene: texts and arrays under the names that tvm_go/report/scene.py gives them, in one object. */
async function readScene() {
  const buffer = await inflated("scene-data");
  const headLength = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, headLength)));
  const scene = { ...head.texts, levels: [] };
  for (const [name, [type, offset, length]] of Object.entries(head.arrays)) {
    const array = new (type === "f8" ? Float64Array : Int32Array)(buffer, 4 + headLength + offset, length);
    if (/^level\d+$/.test(name)) scene.levels[Number(name.slice(5))] = array;
    else scene[name] = array;
  }
  return derived(scene);
}

/** Adds what follows from the scene: kernels of ops, edges between kernels, sums of time. */
function derived(scene) {
  const numKernels = scene.op_start.length - 1;
  const kernelOf = new Int32Array(scene.op_name.length);
  for (let k = 0; k < numKernels; k++) kernelOf.fill(k, scene.op_start[k], scene.op_start[k + 1]);
  const passedMs = new Float64Array(numKernels + 1); // sum of the times of all kernels before
  for (let k = 0; k < numKernels; k++) passedMs[k + 1] = passedMs[k] + (scene.ms[k] || 0);
  const longestMs = scene.ms.reduce((most, ms) => (ms > most ? ms : most), 0);
  const copies = new Map(); // by value and device
  scene.copy_value.forEach((value, i) => copies.set(value * scene.devices.length + scene.copy_device[i], i));
  const makers = Array.from(scene.copy_value, (value) => kernelOf[scene.value_op[value]] ?? -1); // -1: an input
  return Object.assign(scene, {
    numKernels, kernelOf, passedMs, longestMs, copies, copyMaker: Int32Array.from(makers), totalMs: passedMs[numKernels], edges: kernelEdges(scene, kernelOf),
  });
}

/**
 * Edges between kernels, one for each value and reader: those into kernel k are inStart[k] .. inStart[k + 1] of source
 * and value; those out of it are outStart[k] .. outStart[k + 1] of outEdge, which numbers them.
 */
function kernelEdges(scene, kernelOf) {
  const numKernels = scene.op_start.length - 1;
  const source = [], reader = [], value = [];
  const inStart = new Int32Array(numKernels + 1), outStart = new Int32Array(numKernels + 2);
  const seenBy = new Int32Array(scene.value_op.length).fill(-1);
  for (let k = 0; k < numKernels; k++) {
    const stop = scene.use_start[scene.op_start[k + 1]];
    for (let use = scene.use_start[scene.op_start[k]]; use < stop; use++) {
      const v = scene.use_value[use], op = scene.value_op[v];
      if (op < 0 || kernelOf[op] === k || seenBy[v] === k) continue;
      seenBy[v] = k;
      source.push(kernelOf[op]);
      reader.push(k);
      value.push(v);
      outStart[kernelOf[op] + 2]++;
    }
    inStart[k + 1] = source.length;
  }
  for (let k = 0; k <= numKernels; k++) outStart[k + 1] += outStart[k];
  const outEdge = new Int32Array(source.length);
  for (let e = 0; e < source.length; e++) outEdge[outStart[source[e] + 1]++] = e;
  return { source, reader, value, inStart, outStart, outEdge };
}

/** What each kernel does: its operations and bytes, for the tables. */
function kernelFlops(scene, k) {
  let sum = 0;
  for (let op = scene.op_start[k]; op < scene.op_start[k + 1]; op++) sum += scene.op_flops[op];
  return sum;
}

/** Which copy, a number into the scene's copies, brings a value to a device; undefined if none does. */
function copyTo(scene, value, device) {
  return scene.copies.get(value * scene.devices.length + device);
}
