"use strict";
// The values of curves below the pointer, read off their paths.
for (const plot of document.querySelectorAll("svg[data-plot]")) {
  const [left, top, width, height, x0, x1, y0, y1] = plot.dataset.plot.split(" ").map(Number);
  const lines = [...plot.querySelectorAll("path[data-name]")].map(path => ({
    name: path.dataset.name,
    colour: path.getAttribute("stroke"),
    strong: path.getAttribute("stroke-opacity") === "1",
    points: path.getAttribute("d").slice(1).split("L").map(point => point.split(" ").map(Number)),
  })).filter(line => line.name && line.points.length > 1);
  const tip = document.createElement("div"), rule = document.createElementNS("http://www.w3.org/2000/svg", "path");
  tip.className = "tip";
  rule.setAttribute("stroke", "currentColor");
  rule.setAttribute("stroke-opacity", ".5");
  const at = (points, x) => {
    const after = points.findIndex(point => point[0] >= x);
    if (after < 0 || x < points[0][0]) return NaN;
    if (after === 0) return points[0][1];
    const [[ax, ay], [bx, by]] = [points[after - 1], points[after]];
    return bx > ax ? ay + (by - ay) * (x - ax) / (bx - ax) : by;
  };
  const digits = (value, low, high) => value.toFixed(high - low > 20 ? 0 : high - low > 2 ? 2 : 3);
  const hide = () => { tip.remove(); rule.remove(); };
  plot.addEventListener("pointermove", event => {
    const pointer = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
    if (pointer.x < left || pointer.x > left + width || pointer.y < top || pointer.y > top + height) return hide();
    const shown = lines.map(line => ({ ...line, y: at(line.points, pointer.x) })).filter(line => !Number.isNaN(line.y));
    const far = line => line.strong ? -1 : Math.abs(line.y - pointer.y);
    shown.sort((a, b) => far(a) - far(b)).splice(8);
    const rows = shown.map(line => {
      const row = document.createElement("div"), dot = document.createElement("i");
      dot.style.background = line.colour;
      row.append(dot, `${line.name} ${digits(y0 + (y1 - y0) * (1 - (line.y - top) / height), y0, y1)}`);
      return row;
    });
    tip.replaceChildren(digits(x0 + (x1 - x0) * (pointer.x - left) / width, x0, x1), ...rows);
    rule.setAttribute("d", `M${pointer.x} ${top}V${top + height}`);
    plot.append(rule);
    document.body.append(tip);
    const wide = document.documentElement.clientWidth;
    tip.style.left = `${Math.max(0, Math.min(event.clientX + 14, wide - tip.offsetWidth - 4)) + scrollX}px`;
    tip.style.top = `${event.clientY + 14 + scrollY}px`;
  });
  plot.addEventListener("pointerleave", hide);
}
