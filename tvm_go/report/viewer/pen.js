// What all canvases draw with: paths, and lines of text that are cut to their room.

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';

function meets(item, sight) {
  return (
    item.x + item.width >= sight.left && item.x <= sight.right && item.y + item.height >= sight.top &&
    item.y <= sight.bottom
  );
}

function inSight({ left, right, top, bottom }, sight) {
  return right >= sight.left && left <= sight.right && bottom >= sight.top && top <= sight.bottom;
}

function trace(context, points) {
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
}

function arrow(context, point) {
  if (!point) return;
  const [x, y] = point;
  context.moveTo(x, y);
  context.lineTo(x - 4, y - 7);
  context.lineTo(x + 4, y - 7);
}

function rounded(context, { x, y, width, height }, radius) {
  context.beginPath();
  context.roundRect(x, y, width, height, radius);
}

const CUT_TEXTS = new Map(); // what was cut before, by text, font and room
const MOST_CUT_TEXTS = 20000;

/** A line of text, cut to its room with an ellipsis; on a ground of its own if one is given. */
function write(context, text, x, y, room, colour, font, ground) {
  context.font = font;
  const key = `${text}|${font}|${Math.round(room)}`;
  if (CUT_TEXTS.size > MOST_CUT_TEXTS) CUT_TEXTS.clear();
  if (!CUT_TEXTS.has(key)) CUT_TEXTS.set(key, cut(context, text, room));
  const shown = CUT_TEXTS.get(key);
  if (ground) {
    context.fillStyle = ground;
    context.fillRect(x - 2, y - 9, context.measureText(shown).width + 4, 12);
  }
  context.fillStyle = colour;
  context.fillText(shown, x, y);
}

function cut(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let low = 0, high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return low ? `${text.slice(0, low)}…` : "";
}
