// The list of events, newest first.

import { lines } from "./api.js";
import { byId, el, clock, millis } from "./dom.js";

const mostRows = 200;
const mostSeen = 1024; // more than an app remembers
const overlap = 10000; // milliseconds: events of two processes do not come in the order of their times

const names = {
  queued: "queued", started: "started", ready: "ready", probation: "probation", confirmed: "confirmed", draining: "draining",
  drained: "drained", failed: "failed", rolled_back: "rolled back", taken_back: "taken back", refused: "refused", warning: "warning",
  begun: "upgrade begun", hooks_done: "hooks done", moved: "moved", concluded: "concluded", starting: "starting", checking: "checking",
  said_ready: "said ready", serving: "serving", stopping: "stopping", stopped: "stopped",
};

export const outcomes = {
  upgraded: "upgraded", checked: "checked", refused: "refused", failed: "failed", rolled_back: "rolled back", timed_out: "timed out",
};

export class Events {
  // told is called with each event, and with whether it has happened while the page was open.
  constructor(told) {
    this.told = told;
    this.changed = () => {};
    this.body = byId("events");
    this.seen = [];
    this.newest = 0;
    this.kinds = new Map(); // of the outcome, by attempt
    this.rows = []; // newest first
  }

  // watch takes the time of the app's machine at which the page was opened, in milliseconds since 1970.
  async watch(opened) {
    for (;;) {
      const began = performance.now();
      let failed = false;
      try {
        const since = this.newest ? `?since=${this.newest - overlap}` : "";
        await lines(`events${since}`, (e) => {
          if (e.error) failed = true;
          else this.take(e, Date.parse(e.time) >= opened);
        });
      } catch (err) {
        if (err.status === 401) return;
        failed = true;
      }
      // One that ends at once has nothing to tell soon.
      if (failed || performance.now() - began < 500) await new Promise((done) => setTimeout(done, 1000));
    }
  }

  take(e, fresh) {
    if (this.seen.includes(e.id)) return;
    this.seen.push(e.id);
    if (this.seen.length > mostSeen) this.seen.shift();
    const time = Date.parse(e.time);
    this.newest = Math.max(this.newest, time);
    const row = el("tr", { "data-step": e.step },
      el("td", {}, el("time", { datetime: e.time, title: new Date(time).toLocaleString("en") }, clock(time, true))),
      el("td", {}, el("span", { class: "step" }, this.name(e))),
      el("td", {}, this.teller(e)),
      el("td", {}, words(e)));
    row.time = time;
    row.attempt = e.attempt;
    const at = this.rows.findIndex((r) => r.time <= time);
    const place = at < 0 ? this.rows.length : at;
    this.body.insertBefore(row, this.rows[place] ?? null);
    this.rows.splice(place, 0, row);
    while (this.rows.length > mostRows) this.rows.pop().remove();
    if (e.outcome && e.attempt) this.kinds.set(e.attempt, e.outcome.kind);
    if (e.step === "taken_back" && e.attempt) this.kinds.set(e.attempt, "rolled_back");
    for (const r of this.rows) {
      const kind = this.kinds.get(r.attempt);
      if (kind && r.dataset.kind !== kind) r.dataset.kind = kind;
    }
    this.told(e, fresh);
    if (fresh) this.changed();
  }

  name(e) {
    if (e.step === "concluded" && e.outcome) return outcomes[e.outcome.kind] ?? e.outcome.kind;
    return names[e.step] ?? e.step;
  }

  teller(e) {
    const parts = [];
    if (e.by) parts.push(`generation ${e.generation ?? 0}, pid ${e.by}`);
    if (e.version) parts.push(e.version);
    return parts.join(" · ");
  }
}

function words(e) {
  const parts = [];
  if (e.text && e.text !== e.outcome?.kind) parts.push(e.text);
  if (e.outcome?.reason && e.outcome.reason !== e.text) parts.push(e.outcome.reason);
  if (e.outcome?.took_ms) parts.push(`after ${millis(e.outcome.took_ms)}`);
  if (e.pid && e.pid !== e.by) parts.push(`pid ${e.pid}`);
  return parts.join(" · ");
}
