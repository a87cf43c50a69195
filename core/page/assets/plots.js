// The plots over time, by version, and the same figures as a table.

import { byId, el, rate, millis, clock, colour, hue, versionName, dark } from "./dom.js";
import { outcomes } from "./events.js";

const view = 300; // seconds that the plots show, at most
const least = 60; // and at least
const mostPoints = 900;
const tableRows = 30;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// kinds are the plots. Each has one line of a version, or several.
const kinds = [
  { id: "plot-requests", lines: [["requests", "", (v) => v.requests]], words: (v) => `${rate(v.requests)} requests a second` },
  { id: "plot-latency", lines: [["p50", "", (v) => v.p50 ?? null], ["p99", "dash", (v) => v.p99 ?? null]],
    words: (v) => `p50 ${millis(v.p50)}, p99 ${millis(v.p99)}` },
  { id: "plot-errors", lines: [["errors", "", (v) => v.errors]], words: (v) => `${rate(v.errors)} errors a second` },
];

export class Plots {
  constructor() {
    this.points = [];
    this.marks = []; // when upgrades were concluded, and how
    this.charts = [];
    this.table = byId("plots-table");
    this.table.addEventListener("toggle", () => this.fillTable());
    dark.addEventListener("change", () => { this.shape = ""; this.show(this.now); });
    new ResizeObserver(() => this.resize()).observe(byId("plot-requests"));
  }

  clear() {
    this.points = [];
  }

  add(points) {
    const last = this.points.at(-1)?.t ?? 0;
    this.points.push(...points.filter((p) => p.t > last));
    this.points.splice(0, this.points.length - mostPoints);
  }

  // mark notes the outcome of an upgrade.
  mark(time, kind) {
    this.marks.push({ at: time / 1000, kind });
    this.marks.splice(0, this.marks.length - 100);
  }

  show(now) {
    this.now = now;
    const end = now / 1000;
    const seen = this.points.filter((p) => p.t / 1000 > end - view);
    const versions = [...new Set(seen.flatMap((p) => (p.versions ?? []).map((v) => v.version)))];
    const from = Math.max(end - view, Math.min(seen[0]?.t / 1000 || end, end - least));
    const shape = JSON.stringify(versions);
    if (shape !== this.shape) this.build(versions);
    this.shape = shape;
    const times = [], rows = [];
    for (const p of seen) {
      const t = p.t / 1000;
      if (times.length && t - times.at(-1) > 5) {
        times.push((t + times.at(-1)) / 2);
        rows.push([]);
      }
      times.push(t);
      rows.push(p.versions ?? []);
    }
    kinds.forEach((kind, i) => {
      const columns = versions.flatMap((version) => kind.lines.map(([, , value]) => rows.map((r) => {
        const v = r.find((x) => x.version === version);
        return v ? value(v) : null;
      })));
      const chart = this.charts[i];
      chart.setData([times, ...columns], false);
      chart.batch(() => {
        chart.setScale("x", { min: from, max: end });
        const top = Math.max(0, ...columns.flat().filter((v) => v !== null));
        chart.setScale("y", { min: 0, max: top > 0 ? top * 1.12 : 1 });
      });
      const last = rows.at(-1) ?? [];
      byId(kind.id).setAttribute("aria-label", last.map((v) => `${versionName(v.version)}: ${kind.words(v)}`).join("; ") || "nothing yet");
    });
    this.legend(versions, seen.at(-1));
    this.fillTable();
  }

  build(versions) {
    for (const c of this.charts) c.destroy();
    this.charts = kinds.map((kind) => this.chart(kind, versions));
  }

  chart(kind, versions) {
    const place = byId(kind.id);
    place.setAttribute("role", "img");
    const line = css("--line"), quiet = css("--quiet");
    const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    return new uPlot({
      width: place.clientWidth || 300,
      height: 180,
      legend: { show: false },
      cursor: { sync: { key: "plots" }, drag: { x: false, y: false }, y: false, points: { size: 6 } },
      scales: { x: { auto: false }, y: { auto: false } },
      padding: [12, 22, 0, 0],
      axes: [
        { ...axis, space: 70, size: 26, values: (_, all) => all.map((t) => clock(t * 1000)) },
        { ...axis, size: 48, space: 36, values: (_, all) => all.map((v) => (v >= 10000 ? `${v / 1000}k` : String(v))) },
      ],
      series: [{}, ...versions.flatMap((version) => kind.lines.map(([name, dash]) => ({
        label: `${versionName(version)} ${name}`, stroke: colour(version), width: 1.8, dash: dash ? [5, 4] : undefined,
        fill: dash || kind.lines.length > 1 ? undefined : `${colour(version)}22`, points: { show: false },
      })))],
      hooks: { drawClear: [(u) => this.drawMarks(u)], setCursor: [(u) => this.point(u)] },
    }, [[], ...versions.flatMap(() => kind.lines.map(() => []))], place);
  }

  // drawMarks draws a line at each outcome.
  drawMarks(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, 0, bbox.width, bbox.top + bbox.height);
    ctx.clip();
    for (const m of this.marks) {
      const x = u.valToPos(m.at, "x", true);
      ctx.strokeStyle = ctx.fillStyle = css(`--kind-${m.kind in outcomes ? m.kind.replace("_", "-") : "failed"}`);
      ctx.globalAlpha = 0.75;
      ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const s = 4 * devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(x - s, bbox.top - 2 * s);
      ctx.lineTo(x + s, bbox.top - 2 * s);
      ctx.lineTo(x, bbox.top);
      ctx.fill();
    }
    ctx.restore();
  }

  // point shows the figures under the pointer in the legend.
  point(u) {
    const t = u.cursor.idx === null || u.cursor.idx === undefined ? null : u.data[0][u.cursor.idx];
    this.pointed = t === null ? null : this.points.find((p) => p.t / 1000 === t) ?? null;
    if (this.versions) this.legend(this.versions, this.points.at(-1));
  }

  legend(versions, last) {
    this.versions = versions;
    const shown = this.pointed ?? last;
    byId("versions").replaceChildren(
      ...(this.pointed ? [el("li", {}, clock(this.pointed.t))] : []),
      ...versions.map((version) => {
        const v = shown?.versions?.find((x) => x.version === version);
        return el("li", { "data-hue": hue(version) }, el("span", { class: "swatch" }), el("span", { class: "label", title: version }, versionName(version)),
          v ? ` ${rate(v.requests)}/s` : "");
      }));
  }

  fillTable() {
    if (!this.table.open) return;
    const rows = this.points.slice(-tableRows).reverse().flatMap((p) => (p.versions ?? []).map((v) => el("tr", {},
      el("th", { scope: "row" }, clock(p.t)), el("td", {}, versionName(v.version)), el("td", {}, rate(v.requests)),
      el("td", {}, rate(v.errors)), el("td", {}, millis(v.p50)), el("td", {}, millis(v.p99)))));
    this.table.querySelector("tbody").replaceChildren(...rows);
  }

  resize() {
    for (const c of this.charts) {
      const width = c.root.parentElement.clientWidth;
      if (width && width !== c.width) c.setSize({ width, height: c.height });
    }
  }
}
