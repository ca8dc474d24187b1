// What is on the picture: the boxes that are visible and the edges between them, in the coordinates of the whole.

class Display {
  /** Collects everything from the outside in, so that what is drawn later lies on top. */
  constructor(whole, opened) {
    this.items = [];
    this.edges = [];
    this.width = whole.layout.width;
    this.height = whole.layout.height;
    this.byKey = new Map();
    this.collect(whole, opened, 0, 0);
  }

  collect(box, opened, x, y) {
    const { places, routes } = box.layout;
    for (const route of routes) {
      const lines = route.lines.map((points) => points.map((point) => [point.x + x, point.y + y]));
      this.edges.push({ box, link: route.link, lines, ...bounds(lines.flat()) });
    }
    box.children.forEach((child, i) => {
      const place = places[i];
      const open = opened.has(child.key) && child.layout !== null;
      const item = { box: child, x: x + place.x, y: y + place.y, width: place.width, height: place.height, open };
      this.items.push(item);
      this.byKey.set(child.key, item);
      if (open) this.collect(child, opened, item.x, item.y + HEAD);
    });
  }

  /** The innermost box at a point. */
  boxAt(x, y) {
    for (let i = this.items.length - 1; i >= 0; i--) {
      const item = this.items[i];
      if (x >= item.x && x <= item.x + item.width && y >= item.y && y <= item.y + item.height) return item;
    }
    return null;
  }

  /** The nearest edge within a distance of a point. */
  edgeAt(x, y, reach) {
    let best = null, least = reach;
    for (const edge of this.edges) {
      if (x < edge.left - reach || x > edge.right + reach || y < edge.top - reach || y > edge.bottom + reach) continue;
      for (const points of edge.lines) {
        for (let i = 1; i < points.length; i++) {
          const distance = distanceTo(points[i - 1], points[i], x, y);
          if (distance < least) [best, least] = [edge, distance];
        }
      }
    }
    return best;
  }

  /** The innermost visible box that holds a kernel. */
  holding(whole, kernel) {
    let found = null;
    for (const box of whole.pathTo(kernel)) found = this.byKey.get(box.key) ?? found;
    return found;
  }
}

function bounds(points) {
  const x = points.map((point) => point[0]), y = points.map((point) => point[1]);
  return { left: Math.min(...x), right: Math.max(...x), top: Math.min(...y), bottom: Math.max(...y) };
}

function distanceTo([ax, ay], [bx, by], x, y) {
  const length = (bx - ax) ** 2 + (by - ay) ** 2;
  const along = length ? Math.max(0, Math.min(1, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length)) : 0;
  return Math.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay));
}
