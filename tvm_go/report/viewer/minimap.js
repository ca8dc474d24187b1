// The whole picture in small, with a frame around what is in sight; dragging it moves the view.

class Minimap {
  constructor(canvas, view) {
    Object.assign(this, { canvas, view });
    const move = (event) => {
      if (!event.buttons) return;
      const { left, top } = canvas.getBoundingClientRect();
      const { scale, dx, dy } = this.placing();
      view.centre((event.clientX - left - dx) / scale, (event.clientY - top - dy) / scale);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    canvas.addEventListener("pointermove", move);
  }

  placing() {
    const { display } = this.view;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = Math.min((width - 8) / display.width, (height - 8) / display.height);
    return { scale, dx: (width - display.width * scale) / 2, dy: (height - display.height * scale) / 2 };
  }

  paint() {
    const { view, canvas } = this, { display, camera, painter } = view;
    const whole = camera.x <= 0 && camera.y <= 0 && camera.x + view.width / camera.scale >= display.width
      && camera.y + view.height / camera.scale >= display.height;
    canvas.style.visibility = whole ? "hidden" : "visible"; // it would show the same once more
    if (whole) return;
    const { clientWidth: width, clientHeight: height } = canvas, context = canvas.getContext("2d");
    canvas.width = width * view.ratio;
    canvas.height = height * view.ratio;
    context.scale(view.ratio, view.ratio);
    const { scale, dx, dy } = this.placing();
    for (const item of display.items) {
      if (item.open || item.box.kind === "op") continue;
      context.fillStyle = painter.shade(item.box).fill;
      const [w, h] = [Math.max(item.width * scale, 1), Math.max(item.height * scale, 1)];
      context.fillRect(dx + item.x * scale, dy + item.y * scale, w, h);
      if (view.found && anyIn(view.found, item.box.from, item.box.to)) {
        context.fillStyle = painter.theme.found;
        context.fillRect(dx + item.x * scale - 1, dy + item.y * scale - 1, w + 2, h + 2);
      }
    }
    context.strokeStyle = painter.theme.accent;
    context.lineWidth = 1.5;
    context.strokeRect(
      dx + camera.x * scale, dy + camera.y * scale, (view.width / camera.scale) * scale,
      (view.height / camera.scale) * scale,
    );
  }
}
