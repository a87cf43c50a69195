// The totals of the service, as tables.

import { byId, el, setText, number, bytes, millis, clock, isTime } from "./dom.js";

const protocols = { http1: "HTTP/1", http2: "HTTP/2", websocket: "WebSocket", other: "by core.Handoff", tls: "TLS" };
const sum = (list, f) => (list ?? []).reduce((n, x) => n + f(x), 0);

// quantile is that of control.Histogram.
function quantile(h, q) {
  let seen = 0;
  for (const b of h.buckets ?? []) {
    seen += b.count;
    if (seen >= q * h.count) return b.le * 1000;
  }
  return h.buckets?.at(-1)?.le * 1000;
}

const took = (name, h) => (h?.count ? [
  [null, `${name}, mean`, millis((h.sum / h.count) * 1000)],
  [null, `${name}, 9 of 10`, `≤ ${millis(quantile(h, 0.9))}`],
] : []);

export function showTotals(totals) {
  const place = byId("totals");
  if (!totals) {
    setText(byId("since"), "");
    place.dataset.shape = "";
    place.replaceChildren(el("p", { class: "quiet" }, "The app tells none."));
    return;
  }
  const c = totals.total;
  const since = isTime(totals.since) ? new Date(totals.since).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : "the first process";
  setText(byId("since"), `since ${since}, through all upgrades`);
  const servers = c.servers ?? [];
  const cut = (c.cut_connections ?? 0) + (c.cut_hijacked ?? 0) + (c.cut_sockets ?? 0);
  const traffic = [
    ["requests", "Requests answered", number(sum(servers, (s) => s.requests))],
    ["accepted", "Connections accepted", number(sum(servers, (s) => s.accepted))],
    ...(servers.length > 1 ? servers.flatMap((s) => [
      [null, `at ${s.server}`, `${number(s.requests)} requests, ${number(s.accepted)} connections`],
    ]) : []),
    ["cut-requests", "Requests cut", number(c.cut_requests), c.cut_requests > 0],
    ["cut", "Connections cut", number(cut), cut > 0],
    c.cut_background && [null, "Background work cut", number(c.cut_background), true],
    c.closed_politely && [null, "Closed after an answer", number(c.closed_politely)],
    c.closed_idle && [null, "Closed idle", number(c.closed_idle)],
  ];
  const moved = [
    ["moved", "Connections moved", number(sum(c.moved, (m) => m.connections))],
    ...(c.moved ?? []).map((m) => [null, `${protocols[m.protocol] ?? m.protocol}${m.tls ? " over TLS" : ""}`, number(m.connections), false, true]),
    c.state_bytes && [null, "State moved", bytes(c.state_bytes)],
    ["stayed", "Connections that stayed", number(sum(c.stayed, (s) => s.connections))],
    ...(c.stayed ?? []).map((s) => [null, `${protocols[s.protocol] ?? s.protocol}: ${s.reason}`, number(s.connections), false, true]),
    c.refused && [null, "Not taken", number(c.refused)],
  ];
  const upgrades = c.upgrades ?? [];
  const bad = new Set(["failed", "rolled_back", "timed_out", "taken_back"]);
  const deploys = [
    ["upgrades", "Upgrades", number(sum(upgrades, (u) => u.count))],
    ...upgrades.map((u) => [`upgrades-${u.outcome}`, u.outcome.replace("_", " ") + (u.reason ? `: ${u.reason.replace("_", " ")}` : ""),
      number(u.count), bad.has(u.outcome), true]),
    ...took("They took", c.upgrade_seconds),
    ...took("Drains", c.drain_seconds),
    isTime(totals.last_success) && [null, "Last good one", clock(totals.last_success)],
    isTime(totals.last_failure) && [null, "Last bad one", clock(totals.last_failure)],
    totals.missing_count && ["missing", "Processes without a last word", number(totals.missing_count), true],
  ];
  const tables = [["Requests and connections", traffic], ["Connections in upgrades", moved], ["Upgrades", deploys]];
  for (const t of tables) t[1] = t[1].filter(Boolean);
  // The tables are made anew only if they have other rows: text that somebody has selected stays selected.
  const shape = JSON.stringify([tables.map(([, rows]) => rows.map(([, name, , bad]) => [name, bad])), totals.missing]);
  if (place.dataset.shape === shape) {
    const cells = place.querySelectorAll("td");
    tables.flatMap(([, rows]) => rows).forEach(([, , value], i) => setText(cells[i], value));
    return;
  }
  place.dataset.shape = shape;
  place.replaceChildren(...tables.map(([caption, rows]) => table(caption, rows)));
  if (totals.missing_count) {
    place.append(el("p", { class: "warning" }, `${number(totals.missing_count)} ${totals.missing_count === 1 ? "process has" : "processes have"} ended without a last word. ` +
      "What these have counted after they were heard of last is in no sum: " +
      (totals.missing ?? []).map((m) => `pid ${m.pid} (generation ${m.generation})${isTime(m.told) ? ` at ${clock(m.told)}` : ""}`).join(", ") + "."));
  }
}

function table(caption, rows) {
  return el("table", {}, el("caption", {}, caption), el("tbody", {}, ...rows.map(([key, name, value, bad, part]) =>
    el("tr", { class: `${bad ? "bad" : ""}${part ? " part" : ""}`.trim() || null },
      el("th", { scope: "row" }, name), el("td", { "data-total": key }, value)))));
}

