"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const words = data.words, language = data.language;
  const svg = document.getElementById("map"), frame = document.getElementById("frame");
  const details = document.getElementById("details");
  const edges = new Map(), nodes = new Map(), rows = new Map(), badges = new Map();
  for (const g of svg.querySelectorAll("g.edge")) edges.set(Number(g.dataset.row), g);
  for (const g of svg.querySelectorAll("g.badge")) badges.set(Number(g.dataset.row), g);
  for (const g of svg.querySelectorAll("g.node")) nodes.set(Number(g.dataset.kind), g);
  for (const r of document.querySelectorAll("tr[data-row]")) rows.set(Number(r.dataset.row), r);

  // numbers and lengths of time, as the page itself writes them
  const number = (v, digits) => {
    const few = digits ?? (Math.abs(v) >= 10 || Math.abs(Math.round(v * 10) / 10 - Math.round(v)) < 1e-9 ? 0 : 1);
    return new Intl.NumberFormat(language === "es" ? "es-ES" : "en-US",
      { minimumFractionDigits: few, maximumFractionDigits: few, useGrouping: "always" }).format(v);
  };
  const share = v => v === null ? "·" : number(100 * v, v > 0 && v < 0.01 ? 1 : 0) + (language === "es" ? "\u00a0%" : "%");
  const span = h => h === null ? "·" : h < 1 ? number(h * 60) + " " + words.minutes
    : h < 48 ? number(h) + " " + words.hours : number(h / 24) + " " + words.days;

  // moving and zooming: the view is the drawing's viewBox
  const whole = svg.getAttribute("viewBox").split(" ").map(Number);
  let view = whole.slice();
  const show = () => svg.setAttribute("viewBox", view.map(v => v.toFixed(1)).join(" "));
  const fit = () => { view = whole.slice(); show(); };
  const begin = () => {  // large enough to read, at the first stretch to repair
    const readable = [frame.clientWidth * 1.45, frame.clientHeight * 1.45];
    if (whole[2] <= readable[0] && whole[3] <= readable[1]) return fit();
    const at = svg.querySelector("g.badge");
    const [x, y] = at ? at.getAttribute("transform").match(/-?[\d.]+/g).map(Number) : [whole[0] + whole[2] / 2, whole[1] + whole[3] / 2];
    const wide = Math.min(readable[0], whole[2]), high = Math.min(readable[1], whole[3]);
    const within = (middle, size, low, all) => Math.min(Math.max(middle - size / 2, low), low + all - size);
    view = [within(x, wide, whole[0], whole[2]), within(y, high, whole[1], whole[3]), wide, high];
    show();
  };
  const scale = () => Math.max(view[2] / frame.clientWidth, view[3] / frame.clientHeight);
  const zoom = (factor, at) => {
    const wide = Math.min(Math.max(view[2] * factor, 320), whole[2] * 2);
    factor = wide / view[2];
    const x = at ? at.x : view[0] + view[2] / 2, y = at ? at.y : view[1] + view[3] / 2;
    view = [x - (x - view[0]) * factor, y - (y - view[1]) * factor, wide, view[3] * factor];
    show();
  };
  const point = e => new DOMPoint(e.clientX, e.clientY).matrixTransform(svg.getScreenCTM().inverse());
  document.getElementById("zoom-in").addEventListener("click", () => zoom(1 / 1.35));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(1.35));
  document.getElementById("zoom-fit").addEventListener("click", fit);
  frame.addEventListener("wheel", e => {
    if (!e.ctrlKey && !e.metaKey) return;
    e.preventDefault();
    zoom(Math.exp(e.deltaY * 0.0022), point(e));
  }, { passive: false });
  frame.addEventListener("keydown", e => {
    const step = view[2] / 8, moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (e.target !== frame || e.ctrlKey || e.metaKey || e.altKey) return;
    if (moves[e.key]) { view[0] += moves[e.key][0]; view[1] += moves[e.key][1]; show(); }
    else if (e.key === "+" || e.key === "=") zoom(1 / 1.35);
    else if (e.key === "-") zoom(1.35);
    else if (e.key === "0") fit();
    else return;
    e.preventDefault();
  });
  const fingers = new Map();
  frame.addEventListener("pointerdown", e => {
    if (e.target.closest("button")) return;
    fingers.set(e.pointerId, [e.clientX, e.clientY]);
    frame.setPointerCapture(e.pointerId);
    frame.classList.add("moving");
  });
  frame.addEventListener("pointermove", e => {
    const last = fingers.get(e.pointerId);
    if (!last) return;
    const apart = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
    const before = fingers.size === 2 ? apart() : 0;
    fingers.set(e.pointerId, [e.clientX, e.clientY]);
    if (fingers.size === 2) { zoom(before / Math.max(apart(), 1), point(e)); return; }
    view[0] -= (e.clientX - last[0]) * scale();
    view[1] -= (e.clientY - last[1]) * scale();
    show();
  });
  for (const end of ["pointerup", "pointercancel"])
    frame.addEventListener(end, e => { fingers.delete(e.pointerId); if (!fingers.size) frame.classList.remove("moving"); });

  // details of what is pointed at; a choice in the table stays
  let fixed = null;
  const line = (list, name, value) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name; dd.textContent = value; list.append(dt, dd);
  };
  const sparkline = series => {
    const known = series.map((v, n) => [n, v]).filter(p => p[1] !== null);
    if (known.length < 3) return null;
    const ns = "http://www.w3.org/2000/svg", chart = document.createElementNS(ns, "svg");
    const x = n => 4 + 252 * n / (series.length - 1), y = v => 50 - 44 * v;
    chart.setAttribute("viewBox", "0 0 292 56");
    chart.setAttribute("class", "spark");
    chart.setAttribute("aria-hidden", "true");
    const way = document.createElementNS(ns, "path");
    way.setAttribute("d", known.map((p, k) => (k ? "L" : "M") + x(p[0]).toFixed(1) + " " + y(p[1]).toFixed(1)).join(""));
    const base = document.createElementNS(ns, "path");
    base.setAttribute("d", "M4 50H256"); base.setAttribute("class", "base");
    const end = document.createElementNS(ns, "text");
    const [n, v] = known[known.length - 1];
    end.setAttribute("x", x(n) + 5); end.setAttribute("y", y(v) + 4); end.textContent = share(v);
    chart.append(base, way, end);
    return chart;
  };
  const describe = (title, facts, groups, series) => {
    const head = document.createElement("h3"), list = document.createElement("dl");
    head.textContent = title;
    for (const [name, value] of facts) line(list, name, value);
    details.replaceChildren(head, list);
    if (groups && groups.length) {
      const caption = document.createElement("p"), more = document.createElement("dl");
      caption.textContent = words.by_group;
      for (const [name, value] of groups) line(more, name, value);
      details.append(caption, more);
    }
    const chart = series && sparkline(series);
    if (chart) {
      const caption = document.createElement("p");
      caption.textContent = words.over_time;
      details.append(caption, chart);
    }
  };
  const mark = (edge, kind) => {
    for (const [row, g] of edges) g.classList.toggle("marked", row === edge || (kind !== null && (data.edges[row].a === kind || data.edges[row].b === kind)));
    for (const [k, g] of nodes) g.classList.toggle("marked", k === kind || (edge !== null && (data.edges[edge].a === k || data.edges[edge].b === k)));
    svg.classList.toggle("pointing", edge !== null || kind !== null);
  };
  const nothing = () => {
    mark(null, null);
    const p = document.createElement("p");
    p.textContent = words.details;
    details.replaceChildren(p);
  };
  let slice = data.slices["-1,-1"];
  const tellEdge = row => {
    const e = data.edges[row];
    describe(data.kinds[e.a].label + " → " + data.kinds[e.b].label, [
      [words.volume, number(slice.volume[row], 0)], [words.median, span(slice.median[row])],
      [words.p90, span(slice.p90[row])], [words.held_up, share(slice.held[row])],
      [words.turns_back, share(slice.back[row])], [words.abandoned, share(slice.gone[row])], ...e.facts], e.groups, e.series);
    mark(row, null);
  };
  const tellKind = kind => {
    describe(data.kinds[kind].label, [[words.contacts, number(slice.contacts[kind], 0)], ...data.kinds[kind].facts]);
    mark(null, kind);
  };
  const again = () => fixed === null ? nothing() : tellEdge(fixed);
  const choose = row => {
    fixed = row;
    for (const [r, tr] of rows) tr.classList.toggle("chosen", r === row);
    again();
    const g = edges.get(row);
    if (g) g.classList.remove("out");
    if (row === null) filter();
  };
  for (const [row, g] of edges) { g.addEventListener("pointerenter", () => tellEdge(row)); g.addEventListener("pointerleave", again); }
  for (const [row, g] of badges) { g.addEventListener("pointerenter", () => tellEdge(row)); g.addEventListener("pointerleave", again); }
  for (const [kind, g] of nodes) { g.addEventListener("pointerenter", () => tellKind(kind)); g.addEventListener("pointerleave", again); }
  for (const [row, tr] of rows) tr.querySelector("button").addEventListener("click", () => { choose(fixed === row ? null : row); });

  // filters: other numbers on the same map
  const stage = document.getElementById("stage"), channel = document.getElementById("channel");
  const part = document.getElementById("part"), many = document.getElementById("many"), count = document.getElementById("count");
  const filter = () => {
    slice = data.slices[stage.value + "," + channel.value];
    const most = Math.max(1, ...slice.volume);
    const within = k => part.value === "" || data.kinds[k].part === part.value;
    const limit = Number(many.value);
    let seen = 0;
    for (const [row, g] of edges) {
      const e = data.edges[row], volume = slice.volume[row];
      const out = volume === 0 || Number(g.dataset.rank) >= limit || !(within(e.a) || within(e.b));
      g.classList.toggle("out", out && row !== fixed);
      const badge = badges.get(row);
      if (badge) badge.classList.toggle("out", out && row !== fixed);
      g.querySelector(".way").style.strokeWidth = (1.1 + 5.4 * Math.sqrt(volume / most)).toFixed(2);
      seen += !out;
    }
    for (const [k, g] of nodes) {
      g.classList.toggle("faint", slice.contacts[k] === 0 || !within(k));
      g.querySelector(".count").textContent = number(slice.contacts[k], 0);
    }
    for (const [row, tr] of rows) {
      const cells = tr.querySelectorAll("td.v"), e = data.edges[row];
      [number(slice.volume[row], 0), number(slice.customers[row], 0), span(slice.median[row]), span(slice.p90[row]), share(slice.back[row]),
        share(slice.gone[row]), share(slice.held[row])].forEach((text, n) => { cells[n].textContent = text; });
      for (const cell of tr.querySelectorAll("td.whole")) cell.classList.toggle("unfit", slice !== data.slices["-1,-1"]);
      tr.hidden = slice.volume[row] === 0 || !(within(e.a) || within(e.b));
    }
    count.textContent = seen;
    again();
  };
  for (const control of [stage, channel, part, many]) if (control) control.addEventListener("input", filter);
  filter();
  begin();
})();
