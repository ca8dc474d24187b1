// Names and figures as people read them; the same as in tvm_go/report/words.py.

const UNITS = ["", "k", "M", "G", "T", "P"];

function msText(value) {
  if (!Number.isFinite(value)) return "";
  return value < 1 ? value.toFixed(4) : value < 1000 ? value.toFixed(3) : Math.round(value).toLocaleString("en");
}

function amountText(value, unit) {
  if (!Number.isFinite(value)) return "";
  let step = 0;
  while (Math.abs(value) >= 999.5 && step < UNITS.length - 1) {
    value /= 1000;
    step++;
  }
  const text = step ? Number(value.toPrecision(3)).toString() : value.toFixed(0);
  return `${text} ${UNITS[step]}${unit}`.trim();
}

function percentText(part) {
  return `${(100 * part).toFixed(1)}%`;
}

function opName(scene, op) {
  return scene.placement ? scene.attrs[scene.op_attrs[op]] : scene.names[scene.op_name[op]];
}

/** Names of all ops of a kernel. */
function kernelLabel(scene, k) {
  const names = [];
  for (let op = scene.op_start[k]; op < scene.op_start[k + 1]; op++) names.push(opName(scene, op));
  return names.join(" + ");
}

/** A kernel's heaviest op, and how many others there are. */
function kernelTitle(scene, k) {
  const more = scene.op_start[k + 1] - scene.op_start[k] - 1;
  return opName(scene, scene.anchor[k]) + (more ? ` +${more}` : "");
}

/** What a run of kernels mostly is: its commonest heaviest ops. */
function runTitle(scene, from, to) {
  const counts = new Map();
  for (let k = from; k < to; k++) {
    const name = scene.names[scene.op_name[scene.anchor[k]]];
    counts.set(name, (counts.get(name) || 0) + 1);
  }
  const common = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 3);
  return common.map(([name, count]) => (count > 1 ? `${name} ×${count}` : name)).join(", ");
}

function typeText(scene, value) {
  return scene.types[scene.value_type[value]] || amountText(scene.value_bytes[value], "B");
}

/** Values that an op makes: they stand in order of the ops. */
function outputsOf(scene, op) {
  const owners = scene.value_op; // inputs and constants, which are negative, come last
  const found = [];
  let value = lowerBound(owners, op, (owner) => (owner < 0 ? Infinity : owner));
  while (owners[value] === op) found.push(value++);
  return found;
}

/** Values of a kernel that others read; those of its last op if nobody does. */
function returnedBy(scene, k) {
  const { outStart, outEdge, value } = scene.edges;
  const read = new Set(outEdge.subarray(outStart[k], outStart[k + 1]));
  const values = new Set(Array.from(read, (edge) => value[edge]));
  return values.size ? [...values] : outputsOf(scene, scene.op_start[k + 1] - 1);
}

function escaped(text) {
  return String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
}

function hasMoreInside(scene, box) {
  return box.kind === "block" || scene.op_start[box.to] - scene.op_start[box.from] > 1;
}

/** What stands on a box: up to three lines. */
function boxTexts(scene, box) {
  return (box._texts ??= newTexts(scene, box));
}

function newTexts(scene, box) {
  if (box.kind === "op") {
    const made = outputsOf(scene, box.from).map((value) => typeText(scene, value));
    return [opName(scene, box.from), made.join(", ")];
  }
  const share = scene.totalMs > 0 && box.ms > 0 ? ` · ${percentText(box.ms / scene.totalMs)}` : "";
  const time = Number.isFinite(box.ms) && scene.measured ? `${msText(box.ms)} ms${share}` : "not measured";
  if (box.kind === "block") {
    return [`${scene.placement ? "Ops" : "Kernels"} ${box.from} – ${box.to - 1}`, runTitle(scene, box.from, box.to), time];
  }
  const where = scene.devices.length > 1 ? ` · ${scene.devices[scene.device[box.from]]}` : "";
  return [kernelTitle(scene, box.from), time + where];
}

/** Bytes of copies, and their time if it is known. */
function copyText(scene, copies) {
  let bytes = 0, ms = 0;
  for (const copy of copies) {
    bytes += scene.copy_bytes[copy];
    ms += scene.copy_ms[copy];
  }
  return amountText(bytes, "B") + (Number.isFinite(ms) ? ` · ${msText(ms)} ms` : "");
}

/** What a copy brings from where to where. */
function copyTitle(scene, copy) {
  const k = scene.copyMaker[copy], to = scene.devices[scene.copy_device[copy]];
  const what = k < 0 ? `input ${typeText(scene, scene.copy_value[copy])}` : kernelTitle(scene, k);
  return `${what} from ${scene.devices[k < 0 ? 0 : scene.device[k]]} to ${to}`;
}
