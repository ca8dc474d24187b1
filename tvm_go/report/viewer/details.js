// What is known of a box or an edge: a short hint under the pointer, and all of it in the panel at the side.

const LISTED = 12;

class Details {
  constructor(scene, panel, hint, go) {
    Object.assign(this, { scene, panel, hint });
    panel.addEventListener("click", (event) => {
      const link = event.target.closest("[data-kernel]");
      if (link) go(Number(link.dataset.kernel));
    });
    this.show(null);
  }

  point(what, event) {
    this.hint.hidden = true;
    if (what) this.say(what.link ? this.edgeText(what) : this.boxText(what), event);
  }

  say(text, event) {
    this.hint.hidden = false;
    this.hint.textContent = text;
    const { offsetWidth, offsetHeight } = this.hint;
    this.hint.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - offsetWidth - 8))}px`;
    const below = event.clientY + 18;
    this.hint.style.top = `${below + offsetHeight < innerHeight ? below : event.clientY - offsetHeight - 12}px`;
  }

  boxText(box) {
    const { scene } = this;
    if (box.kind === "op") return this.opLines(box.from).join("\n");
    if (box.kind === "block") {
      const [title, parts, time] = boxTexts(scene, box);
      return `${title}\n${parts}\n${time}`;
    }
    const k = box.from;
    return [kernelLabel(scene, k), ...this.kernelRows(k).map(([name, value]) => `${name}: ${value}`)].join("\n");
  }

  edgeText({ box, link }) {
    const { scene } = this, values = [...link.values];
    const names = [link.from, link.to].map((i) => boxTexts(scene, box.children[i])[0]);
    const types = values.slice(0, LISTED).map((value) => typeText(scene, value));
    const more = values.length > LISTED ? [`and ${values.length - LISTED} more`] : [];
    const copied = link.copies.size ? [`copied between devices: ${copyText(scene, link.copies)}`] : [];
    return [`${names[0]} → ${names[1]}`, amountText(link.bytes, "B"), ...types, ...more, ...copied].join("\n");
  }

  opLines(op) {
    const { scene } = this;
    const reads = [];
    for (let use = scene.use_start[op]; use < scene.use_start[op + 1]; use++) {
      const value = scene.use_value[use], owner = scene.value_op[value];
      const from = owner === -1 ? "input" : owner === -2 ? "constant" : opName(scene, owner);
      reads.push(`${typeText(scene, value)} (${from})`);
    }
    const made = outputsOf(scene, op).map((value) => typeText(scene, value));
    const form = scene.forms[scene.op_form[op]];
    return [
      opName(scene, op),
      form ? `form: ${form}` : "",
      `reads ${reads.slice(0, LISTED).join(", ") || "nothing"}${reads.length > LISTED ? ", …" : ""}`,
      `makes ${made.join(", ")}`,
      Number.isFinite(scene.op_flops[op]) ? `${amountText(scene.op_flops[op], "FLOP")}` : "",
      `${amountText(scene.op_bytes[op], "B")} read and written`,
      scene.placement ? "" : scene.attrs[scene.op_attrs[op]],
    ].filter(Boolean);
  }

  kernelRows(k) {
    const { scene } = this, ms = scene.ms[k];
    const flops = kernelFlops(scene, k), bytes = scene.kernel_bytes[k];
    const share = scene.totalMs > 0 ? ` (${percentText(ms / scene.totalMs)})` : "";
    const made = returnedBy(scene, k).map((value) => typeText(scene, value));
    const rate = ms > 0 ? ` · ${amountText((flops / ms) * 1e3, "FLOP/s")}` : "";
    return [
      ["time", Number.isFinite(ms) ? `${msText(ms)} ms${share}` : "not known"],
      ["time from", scene.sources[scene.source[k]]],
      ["makes", made.slice(0, 4).join(", ") + (made.length > 4 ? `, and ${made.length - 4} more` : "")],
      ["device", scene.devices[scene.device[k]]],
      ["copied", this.copiesOf(k)],
      ["lowering", scene.lowerings[scene.lowering[k]]],
      ["arithmetic", Number.isFinite(flops) ? amountText(flops, "FLOP") + rate : ""],
      ["memory", `${amountText(bytes, "B")}${ms > 0 ? ` · ${amountText((bytes / ms) * 1e3, "B/s")}` : ""}`],
      ["change", scene.change ? scene.kinds[scene.change[k]] : ""],
    ].filter(([, value]) => value);
  }

  /** Where what a kernel makes is copied to. */
  copiesOf(k) {
    const { scene } = this, found = [];
    scene.copyMaker.forEach((maker, copy) => maker === k && found.push(copy));
    const shown = found.slice(0, LISTED);
    const texts = shown.map((copy) => `to ${scene.devices[scene.copy_device[copy]]}: ${copyText(scene, [copy])}`);
    return texts.join(", ") + (found.length > LISTED ? ", …" : "");
  }

  /** The panel: all of a kernel, a block or an op; what to do if nothing is selected. */
  show(box) {
    if (!box) {
      this.panel.innerHTML = "<h2>Nothing selected</h2><p>Click a kernel, or press an arrow key in the graph. "
        + "A double click, or Enter, unfolds it into its ops.</p>";
      return;
    }
    if (box.kind === "op") this.panel.innerHTML = this.opPanel(box.from);
    else if (box.kind === "block") this.panel.innerHTML = this.blockPanel(box);
    else this.panel.innerHTML = this.kernelPanel(box.from);
  }

  opPanel(op) {
    const [title, ...lines] = this.opLines(op);
    const items = lines.map((line) => `<li>${escaped(line)}</li>`).join("");
    return `<h2>${escaped(title)}</h2><ul>${items}</ul><h3>In kernel</h3>${this.links([this.scene.kernelOf[op]])}`;
  }

  blockPanel(box) {
    const { scene } = this, [title, parts, time] = boxTexts(scene, box);
    const order = Array.from({ length: box.to - box.from }, (_, i) => box.from + i);
    order.sort((a, b) => (scene.ms[b] || 0) - (scene.ms[a] || 0));
    return `<h2>${escaped(title)}</h2><p>${escaped(parts)}</p><p>${escaped(time)}</p><h3>Longest kernels</h3>`
      + this.links(order.slice(0, LISTED));
  }

  kernelPanel(k) {
    const { scene } = this;
    const rows = this.kernelRows(k).map(([name, value]) => `<dt>${name}</dt><dd>${escaped(value)}</dd>`).join("");
    let ops = "";
    for (let op = scene.op_start[k]; op < Math.min(scene.op_start[k + 1], scene.op_start[k] + 40); op++) {
      const [title, ...lines] = this.opLines(op);
      const shown = lines.map((line) => (line.startsWith("{") ? `<code>${escaped(line)}</code>` : escaped(line)));
      ops += `<li><b>${escaped(title)}</b><br>${shown.join("<br>")}</li>`;
    }
    const before = this.beforeOf(k);
    return `<h2>${scene.placement ? "Op" : "Kernel"} ${k}: ${escaped(kernelLabel(scene, k))}</h2><dl>${rows}</dl>`
      + (before ? `<h3>${escaped(scene.other_title)}</h3>${before}` : "")
      + `<h3>${scene.placement ? "Tensors" : "Ops"}</h3><ol>${ops}</ol>`
      + `<h3>Reads</h3>${this.links([...sourcesOf(scene.edges, k)])}<h3>Is read by</h3>`
      + this.links([...readersOf(scene.edges, k)]);
  }

  /** The kernels of the other plan that hold this one's ops. */
  beforeOf(k) {
    const { scene } = this, group = scene.change ? scene.group[k] : -1;
    if (group < 0) return "";
    const items = [];
    scene.other_group.forEach((one, i) => {
      if (one === group && items.length < LISTED) {
        const device = scene.devices.length > 1 ? scene.devices[scene.other_device[i]] : undefined;
        const label = scene.other_label[i] + (device ? ` on ${device}` : "");
        items.push(`<li>${escaped(label)} <code>${msText(scene.other_ms[i])} ms</code></li>`);
      }
    });
    return `<ul>${items.join("")}</ul>`;
  }

  links(kernels) {
    const items = kernels.slice(0, LISTED).map((k) => {
      const time = Number.isFinite(this.scene.ms[k]) ? ` <code>${msText(this.scene.ms[k])} ms</code>` : "";
      return `<li><button class="link" data-kernel="${k}">${k}: ${escaped(kernelTitle(this.scene, k))}</button>${time}</li>`;
    });
    const more = kernels.length > LISTED ? `<li>and ${kernels.length - LISTED} more</li>` : "";
    return items.length ? `<ul>${items.join("")}${more}</ul>` : "<p>none</p>";
  }
}
