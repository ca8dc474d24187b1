// Colours: of devices and kinds, shaded by time, on a light or a dark page.

// Okabe and Ito's palette, told apart with any colour vision ("Color Universal Design", 2008).
const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#7f7f7f"];
const CHANGE_COLOURS = {
  same: "#8a93a3", merged: "#0072b2", split: "#e69f00", regrouped: "#cc79a7", lowering: "#009e73", form: "#56b4e9",
  moved: "#d55e00", added: "#f0e442",
};

class Theme {
  constructor() {
    const wanted = matchMedia("(prefers-color-scheme: dark)").matches;
    this.set(wanted ? "dark" : "light");
  }

  set(name) {
    this.name = name;
    document.documentElement.dataset.theme = name;
    const style = getComputedStyle(document.documentElement);
    const read = (key) => style.getPropertyValue(`--${key}`).trim();
    for (const key of ["page", "panel", "line", "text", "soft", "accent", "box", "edge", "mark", "found"]) {
      this[key] = read(key);
    }
    this.mixed = new Map();
  }

  toggle() {
    this.set(this.name === "dark" ? "light" : "dark");
  }

  /** A colour laid over the colour of boxes, by its share from 0 to 1. */
  over(colour, share) {
    const step = Math.round(share * 32);
    const key = colour + step;
    if (!this.mixed.has(key)) {
      const [top, ground] = [rgb(colour), rgb(this.box)];
      const mixed = top.map((part, i) => Math.round(ground[i] + ((part - ground[i]) * step) / 32));
      this.mixed.set(key, { fill: `rgb(${mixed})`, text: luminance(mixed) > 0.36 ? "#10151d" : "#ffffff" });
    }
    return this.mixed.get(key);
  }
}

function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

/** Relative luminance, as WCAG defines it. */
function luminance(parts) {
  const linear = parts.map((part) => (part / 255 <= 0.04045 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

/** Ways to colour kernels: what each is called, its classes, and the class of a kernel. */
function colourings(scene) {
  const kinds = scene.lowerings.map((text) => text.split(" ")[0]);
  const lowerings = [...new Set(kinds)];
  const ways = {
    device: { title: "by device", classes: scene.devices, of: (k) => scene.device[k] },
  };
  if (scene.change) {
    ways.change = {
      title: "by what changed", classes: scene.kinds, of: (k) => scene.change[k],
      colours: scene.kinds.map((kind) => CHANGE_COLOURS[kind]),
    };
  }
  if (lowerings.length > 1) {
    ways.lowering = { title: "by lowering", classes: lowerings, of: (k) => lowerings.indexOf(kinds[scene.lowering[k]]) };
  }
  if (scene.sources.length > 1) {
    ways.source = { title: "by where the time is from", classes: scene.sources, of: (k) => scene.source[k] };
  }
  for (const way of Object.values(ways)) way.colours ??= way.classes.map((_, i) => PALETTE[i % PALETTE.length]);
  return ways;
}
