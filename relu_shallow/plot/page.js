"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const frame = document.getElementById("frame"), about = document.getElementById("about");
  const tip = document.getElementById("tip"), picture = frame.querySelector("svg.picture");
  const plane = picture.querySelector("svg.plane"), ticks = picture.querySelector("g.ticks");
  const SVG = "http://www.w3.org/2000/svg";
  const [left, top_, across, down] = data.plane, [x0, x1, y0, y1] = data.view;
  const paths = new Map([...plane.querySelectorAll("path[data-r]")].map(path => [Number(path.dataset.r), path]));
  const place = new Map(data.region.map((region, i) => [region, i]));
  const CLOSEST = 4000, STEP = 1.6, WRITTEN = 64;  // WRITTEN: neurons whose pattern is written out
  let window_ = [0, 0, across, down], chosen = null, dragged = null;

  const outline = ["chosen-edge", "chosen"].map(id => {
    const path = document.createElementNS(SVG, "path");
    path.id = id;
    path.dataset.w = id === "chosen" ? 2.2 : 4.6;
    path.setAttribute("stroke-width", path.dataset.w);
    return plane.appendChild(path);
  });
  document.querySelector(".tools").hidden = about.hidden = false;

  // --- words about a region ------------------------------------------------------------------------------------
  const written = value => String(Math.abs(value)).replace("e-", "e\u2212");
  const signed = value => (value < 0 ? "\u2212" : "") + written(value);
  function formula(i, k) {
    const terms = data.alpha[i][k].map((slope, j) => ` ${slope < 0 ? "\u2212" : "+"} ${written(slope)} \u00b7 ${data.features[j]}`);
    return `${data.outputs[k]} = ${signed(data.beta[i][k])}${terms.join("")}${data.more[0] ? " + \u2026" : ""}`;
  }
  function pattern(i) {
    const bits = data.bits[i].replace(/../g, byte => parseInt(byte, 16).toString(2).padStart(8, "0"));
    let start = 0;
    return data.widths.map((width, layer) => {
      const own = bits.slice(start, start += width), active = own.replaceAll("0", "").length;
      const shown = data.widths.reduce((a, b) => a + b, 0) <= WRITTEN ? ` (${own})` : "";
      return `layer ${layer + 1}: ${active} of ${width}${shown}`;
    }).join(", ");
  }
  function lines(region) {
    const i = place.get(region), found = [`Region ${region} of ${data.total}, numbered from 0`];
    if (data.class.length) found.push(`Class: ${data.class[i]}`);
    data.outputs.forEach((_, k) => found.push(formula(i, k)));
    if (data.more[1]) found.push(`\u2026 and ${data.more[1]} more outputs`);
    if (data.widths.length) found.push(`Active: ${pattern(i)}`);
    return found;
  }
  function fill(element, region) {
    element.replaceChildren(...lines(region).map((line, n) => {
      const p = document.createElement("p"), part = document.createElement(n ? "span" : "strong");
      part.textContent = line;
      p.append(part);
      return p;
    }));
  }
  function choose(region) {
    chosen = region;
    for (const path of outline) path.setAttribute("d", paths.get(region).getAttribute("d"));
    fill(about, region);
  }

  // --- the window ----------------------------------------------------------------------------------------------
  function step(low, high) {
    const raw = (high - low) / 6, power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 5, 10].find(factor => factor * power >= raw) * power;
  }
  function tick(x, y, label, anchor, mark) {
    const line = document.createElementNS(SVG, "path"), text = document.createElementNS(SVG, "text");
    line.setAttribute("d", mark);
    line.setAttribute("stroke", "currentColor");
    for (const [name, value] of Object.entries({ x, y, "text-anchor": anchor, "font-size": 13, fill: "currentColor" })) text.setAttribute(name, value);
    text.textContent = label.replace("-", "\u2212");
    ticks.append(line, text);
  }
  function axis(low, high, draw) {
    const by = step(low, high), decimals = Math.max(0, -Math.floor(Math.log10(by)));
    for (let n = Math.ceil(low / by); n <= Math.floor(high / by); n++) {
      const value = n * by, plain = decimals <= 6 && Math.abs(value) < 1e6;
      draw((value - low) / (high - low), plain ? value.toFixed(decimals) : value.toPrecision(3));
    }
  }
  function show(x, y, width) {
    width = Math.min(Math.max(width, across / CLOSEST), across);
    const height = width * down / across;
    window_ = [Math.min(Math.max(x, 0), across - width), Math.min(Math.max(y, 0), down - height), width, height];
    plane.setAttribute("viewBox", window_.join(" "));
    for (const path of plane.querySelectorAll("[data-w]")) path.setAttribute("stroke-width", path.dataset.w * width / across);
    ticks.replaceChildren();
    const at = (pixel, size, low, high) => low + pixel / size * (high - low);
    const bottom = top_ + down;
    axis(at(window_[0], across, x0, x1), at(window_[0] + width, across, x0, x1), (share, label) => {
      const px = left + share * across;
      tick(px, bottom + 19, label, "middle", `M${px} ${bottom}v5`);
    });
    axis(at(window_[1] + height, down, y1, y0), at(window_[1], down, y1, y0), (share, label) => {
      const py = bottom - share * down;
      tick(left - 9, py + 4.5, label, "end", `M${left} ${py}h-5`);
    });
  }
  function zoom(factor, share = [.5, .5]) {
    const width = Math.min(Math.max(window_[2] / factor, across / CLOSEST), across);
    show(window_[0] + share[0] * (window_[2] - width), window_[1] + share[1] * (window_[3] - width * down / across), width);
  }
  const middle = i => [(data.middle[i][0] - x0) / (x1 - x0) * across, (y1 - data.middle[i][1]) / (y1 - y0) * down];
  function reveal(region) {
    const [x, y] = middle(place.get(region)), [wx, wy, width, height] = window_;
    if (x < wx || x > wx + width || y < wy || y > wy + height) show(x - width / 2, y - height / 2, width);
  }
  function neighbour(dx, dy) {
    const from = chosen === null ? [window_[0] + window_[2] / 2, window_[1] + window_[3] / 2] : middle(place.get(chosen));
    let best = null, least = Infinity;
    data.region.forEach((region, i) => {
      const [x, y] = middle(i), ahead = (x - from[0]) * dx + (y - from[1]) * dy;
      const aside = Math.abs((x - from[0]) * dy) + Math.abs((y - from[1]) * dx);
      if (region !== chosen && (chosen === null || (ahead > 0 && aside <= ahead)) && Math.hypot(ahead, aside) < least) {
        least = Math.hypot(ahead, aside);
        best = region;
      }
    });
    return best;
  }

  // --- what the user does --------------------------------------------------------------------------------------
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  frame.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (ARROWS[event.key]) {
      const region = neighbour(...ARROWS[event.key]);
      if (region !== null) { choose(region); reveal(region); }
    } else if (event.key === "+" || event.key === "=") zoom(STEP);
    else if (event.key === "-") zoom(1 / STEP);
    else if (event.key === "0") show(0, 0, across);
    else return;
    tip.hidden = true;
    event.preventDefault();
  });
  document.getElementById("closer").addEventListener("click", () => zoom(STEP));
  document.getElementById("farther").addEventListener("click", () => zoom(1 / STEP));
  document.getElementById("whole").addEventListener("click", () => show(0, 0, across));
  const shareOf = event => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
    return [(at.x - left) / across, (at.y - top_) / down];
  };
  plane.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.metaKey) return;
    zoom(event.deltaY < 0 ? STEP : 1 / STEP, shareOf(event));
    event.preventDefault();
  }, { passive: false });
  plane.addEventListener("dblclick", event => zoom(STEP, shareOf(event)));
  plane.addEventListener("pointerdown", event => { if (event.button === 0) dragged = { at: shareOf(event), from: [...window_] }; });
  addEventListener("pointerup", () => { dragged = null; });
  plane.addEventListener("pointermove", event => {
    const share = shareOf(event);
    if (dragged && window_[2] < across) {
      const [x, y, width, height] = dragged.from;
      show(x + (dragged.at[0] - share[0]) * width, y + (dragged.at[1] - share[1]) * height, width);
      tip.hidden = true;
      return;
    }
    const path = event.target.closest("path[data-r]");
    if (!path) { tip.hidden = true; return; }
    const region = Number(path.dataset.r);
    if (region !== chosen) choose(region);
    fill(tip, region);
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 16, innerWidth - box.width - 8))}px`;
    tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? Math.max(4, event.clientY - box.height - 12) : event.clientY + 18}px`;
  });
  plane.addEventListener("pointerleave", () => { tip.hidden = true; });
})();
