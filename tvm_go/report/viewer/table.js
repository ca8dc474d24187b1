// The tables: those that Python wrote, sorted by a click; the table of kernels gets rows for all of them.

const ROWS_AT_ONCE = 300;

class KernelTable {
  constructor(scene, table, more, go) {
    Object.assign(this, { scene, table, more, shown: ROWS_AT_ONCE, found: null, selected: null, filled: false });
    this.body = table.tBodies[0];
    const label = (k) => kernelLabel(scene, k);
    const kind = (k) => scene.lowerings[scene.lowering[k]].split(" ")[0];
    this.columns = [
      [(k) => k, (k) => k],
      [label, label],
      [(k) => scene.devices[scene.device[k]], (k) => scene.devices[scene.device[k]]],
      [kind, kind],
      [(k) => scene.ms[k] || 0, (k) => msText(scene.ms[k])],
      [(k) => scene.ms[k] || 0, (k) => (scene.totalMs > 0 ? percentText((scene.ms[k] || 0) / scene.totalMs) : "")],
      [(k) => scene.sources[scene.source[k]], (k) => scene.sources[scene.source[k]]],
      [(k) => kernelFlops(scene, k), (k) => amountText(kernelFlops(scene, k), "")],
      [(k) => scene.kernel_bytes[k], (k) => amountText(scene.kernel_bytes[k], "B")],
      [(k) => (scene.change ? scene.kinds[scene.change[k]] : ""), (k) => (scene.change ? scene.kinds[scene.change[k]] : "")],
    ];
    this.order = Int32Array.from({ length: scene.numKernels }, (_, k) => k);
    sortable(table, (column, descending) => this.sort(column, descending));
    rowsGo(table, go);
    more.addEventListener("click", () => {
      this.shown += ROWS_AT_ONCE;
      this.fill();
    });
    this.sort(4, true);
    mark(table, 4, true);
  }

  sort(column, descending) {
    const key = this.columns[column][0];
    const keys = Array.from({ length: this.scene.numKernels }, (_, k) => key(k));
    const sign = descending ? -1 : 1;
    this.order = this.order.sort((a, b) => (keys[a] < keys[b] ? -sign : keys[a] > keys[b] ? sign : a - b));
    this.fill();
  }

  filter(found) {
    this.found = found;
    this.fill();
  }

  /** Makes the rows; not before they are looked at. */
  fill() {
    this.filled = this.table.checkVisibility();
    if (!this.filled) return;
    const wanted = this.found && new Set(this.found);
    const kernels = wanted ? this.order.filter((k) => wanted.has(k)) : this.order;
    const numeric = [...this.table.tHead.rows[0].cells].map((cell) => cell.className);
    const rows = Array.from(kernels.subarray(0, this.shown), (k) => {
      const cells = this.columns.map(([, text], i) => `<td class="${numeric[i]}">${escaped(text(k))}</td>`).join("");
      return `<tr data-kernel="${k}" tabindex="0" aria-selected="${k === this.selected}">${cells}</tr>`;
    });
    this.body.innerHTML = rows.join("");
    this.table.caption.textContent = `${kernels.length.toLocaleString("en")} kernels`;
    this.more.hidden = this.shown >= kernels.length;
  }

  select(kernel) {
    this.selected = kernel;
    if (!this.filled) return;
    for (const row of this.body.rows) row.setAttribute("aria-selected", String(Number(row.dataset.kernel) === kernel));
  }
}

/** Lets the rows of a table of few rows be sorted where they are. */
function sortRows(table, go) {
  const number = (text) => (/^[+-]?[\d.,]+$/.test(text) ? Number(text.replaceAll(",", "")) : NaN);
  sortable(table, (column, descending) => {
    const sign = descending ? -1 : 1;
    const rows = [...table.tBodies[0].rows].map((row) => [row.cells[column].textContent, row]);
    rows.sort(([a], [b]) => {
      const [x, y] = [number(a), number(b)];
      return sign * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y);
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  });
  for (const row of table.tBodies[0].rows) row.tabIndex = 0;
  rowsGo(table, go);
}

function sortable(table, sort) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    cell.innerHTML = `<button>${cell.innerHTML}</button>`;
    cell.firstChild.addEventListener("click", () => {
      const first = cell.className === "number" && column > 0 ? "descending" : "ascending";
      const now = cell.getAttribute("aria-sort");
      const descending = (now ? (now === "ascending" ? "descending" : "ascending") : first) === "descending";
      mark(table, column, descending);
      sort(column, descending);
    });
  });
}

function mark(table, column, descending) {
  [...table.tHead.rows[0].cells].forEach((cell, i) => {
    if (i === column) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
}

function rowsGo(table, go) {
  const follow = (event) => {
    const row = event.target.closest("tbody tr");
    if (row && Number(row.dataset.kernel) >= 0) go(Number(row.dataset.kernel));
  };
  table.addEventListener("click", follow);
  table.addEventListener("keydown", (event) => event.key === "Enter" && event.target.matches("tr") && follow(event));
}
