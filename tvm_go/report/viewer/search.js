// Search: kernels with an op whose name, attributes, types or form hold a text.

class Search {
  constructor(scene, input, count, tell) {
    Object.assign(this, { scene, input, count, found: null, at: -1 });
    this.haystacks = new Map();
    input.addEventListener("input", () => {
      this.found = this.find(input.value.trim().toLowerCase());
      this.at = -1;
      this.say();
      tell.found(this.found);
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && this.found?.length) {
        const step = event.shiftKey ? -1 : 1;
        this.at = (this.at + step + this.found.length) % this.found.length;
        this.say();
        tell.go(this.found[this.at]);
      } else if (event.key === "Escape") {
        input.value = "";
        input.dispatchEvent(new Event("input"));
        input.blur();
      }
    });
  }

  say() {
    const total = this.found?.length;
    if (total === undefined) this.count.value = "";
    else if (!total) this.count.value = "no kernel";
    else this.count.value = `${this.at >= 0 ? `${this.at + 1} of ` : ""}${total} kernel${total > 1 ? "s" : ""}`;
  }

  /** Kernels that match, ascending; null if nothing is asked. A number alone is a kernel's own. */
  find(text) {
    if (!text) return null;
    const { scene } = this;
    if (/^\d+$/.test(text) && Number(text) < scene.numKernels && !scene.placement) return [Number(text)];
    const holding = (words) => {
      const hits = new Uint8Array(words.length);
      words.forEach((word, i) => (hits[i] = word.toLowerCase().includes(text)));
      return hits;
    };
    const [names, attrs, types, forms] = [scene.names, scene.attrs, scene.types, scene.forms].map(holding);
    const hit = new Uint8Array(scene.numKernels);
    for (let op = 0; op < scene.op_name.length; op++) {
      if (names[scene.op_name[op]] || attrs[scene.op_attrs[op]] || forms[scene.op_form[op]]) hit[scene.kernelOf[op]] = 1;
    }
    for (let v = 0; v < scene.value_op.length && scene.value_op[v] >= 0; v++) {
      if (types[scene.value_type[v]]) hit[scene.kernelOf[scene.value_op[v]]] = 1;
    }
    const found = [];
    for (let k = 0; k < hit.length; k++) if (hit[k]) found.push(k);
    return found;
  }
}
