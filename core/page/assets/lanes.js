// The processes as lanes, newest first. A process that has ended stays in view for a while.

import { byId, el, setText, number, rate, bytes, ago, clock, colour, hue, versionName, isTime } from "./dom.js";
import { Dots } from "./dots.js";

const view = 120000; // milliseconds that the strips show
const mostEnded = 6;
const patience = 2000; // milliseconds after which a process is said not to answer
const recent = 15000; // milliseconds that a lane says how many connections have moved to it

const states = {
  starting: "starting", current: "current", upgrading: "current, upgrading", on_probation: "on probation",
  probation: "can take back", draining: "draining", stopping: "stopping", ended: "ended", unknown: "does not answer",
};

// rateOf is how many a second have come in the last second or so. The page asks more often during an upgrade.
function rateOf(history, now, sum) {
  history.push({ now, sum });
  while (history.length > 2 && now - history[1].now >= 900) history.shift();
  const passed = now - history[0].now;
  return passed > 0 ? (Math.max(0, sum - history[0].sum) * 1000) / passed : 0;
}

const keyOf = (p) => `${p.generation}-${p.pid}`;

export class Lanes {
  constructor() {
    this.list = byId("lanes");
    this.lives = new Map(); // what is known of a process, by its key
    this.ends = new Map(); // of probations, by the new process
    this.dots = new Dots(byId("dots"), this.list);
    this.before = null; // what each process had moved
  }

  // probation notes when one ends, in milliseconds since 1970.
  probation(pid, end) {
    this.ends.set(pid, end);
  }

  gone(now) {
    for (const life of this.lives.values()) {
      this.live(life, "ended", now);
      life.open = life.rate = 0;
    }
    this.draw(now, 0);
  }

  show(state, points) {
    const { now, status, totals } = state;
    if (this.lives.size === 0) this.recall(points);
    const accounts = new Map((totals?.processes ?? []).map((a) => [keyOf(a), a]));
    const here = new Set();
    for (const g of status.generations) {
      const key = keyOf(g);
      here.add(key);
      const life = this.of(g);
      const account = accounts.get(key);
      life.generation = g;
      life.version = g.version || account?.version || life.version;
      const sum = (account?.counts.servers ?? []).reduce((n, s) => n + s.requests, 0);
      if (account) {
        life.counted = true;
        life.requests = sum;
        life.rate = rateOf(life.history, now, sum);
        life.movedOn = (account.counts.moved ?? []).reduce((n, m) => n + m.connections, 0);
      }
      // One that is about to end does not answer for a moment.
      if (g.state !== "unknown") life.heard = now;
      const silent = g.state === "unknown" && now - life.heard < patience;
      if (!silent) life.open = g.connections + g.hijacked;
      this.live(life, silent ? life.state : g.probation ? "on_probation" : g.state, now);
    }
    for (const [key, life] of this.lives) {
      if (!here.has(key)) {
        this.live(life, "ended", now);
        life.open = 0;
        life.rate = 0;
      }
    }
    this.close(totals, accounts);
    this.account(totals, status.pid, now);
    this.draw(now, this.moves);
  }

  // close takes the last word of a process that has ended. The totals have those of all in one sum, so that what one has
  // counted is known if it has ended alone since the last time.
  close(totals, accounts) {
    if (!totals) return;
    const sum = (list, f) => (list ?? []).reduce((n, x) => n + f(x), 0);
    const ended = { requests: sum(totals.ended.servers, (s) => s.requests), moved: sum(totals.ended.moved, (m) => m.connections) };
    const gone = [...this.lives.values()].filter((l) => l.counted && !accounts.has(l.key));
    if (this.ended && gone.length === 1) {
      const [life] = gone;
      life.requests = Math.max(life.requests, ended.requests - this.ended.requests);
      life.movedOn = Math.max(life.movedOn, ended.moved - this.ended.moved);
    }
    for (const life of gone) {
      life.counted = false;
      life.unsure = gone.length > 1;
      life.missing = (totals.missing ?? []).some((m) => keyOf(m) === life.key);
    }
    this.ended = ended;
  }

  // account finds out which connections have moved since the last time, and to which process.
  account(totals, current, now) {
    const all = (totals?.total.moved ?? []).reduce((n, m) => n + m.connections, 0);
    this.moves = this.before === null ? 0 : Math.max(0, all - this.before);
    this.before = all;
    const to = [...this.lives.values()].find((l) => l.pid === current);
    if (to && this.moves) {
      to.cameHere = (now - to.cameAt < recent ? to.cameHere : 0) + this.moves;
      to.cameAt = now;
    }
  }

  // versionOf returns that of a process that is in view.
  versionOf(pid) {
    return [...this.lives.values()].find((l) => l.pid === pid)?.version ?? "";
  }

  // of returns what is known of a process.
  of(p) {
    const key = keyOf(p);
    if (!this.lives.has(key)) {
      this.lives.set(key, { key, pid: p.pid, gen: p.generation, version: p.version ?? "", parts: [], history: [], rate: 0, open: 0 });
    }
    return this.lives.get(key);
  }

  // live notes that a process has a state at a time.
  live(life, state, now) {
    const last = life.parts.at(-1);
    if (last?.state === state) {
      last.to = now;
    } else {
      if (last) last.to = now;
      life.parts.push({ state, from: now, to: now });
    }
    life.state = state;
  }

  // recall takes the lives of processes from the points of a plot, when the page was opened again.
  recall(points) {
    for (const point of points) {
      const here = new Set();
      for (const p of point.processes ?? []) {
        const life = this.of(p);
        here.add(life.key);
        life.requests = p.requests;
        life.movedOn = p.moved;
        this.live(life, p.probation ? "on_probation" : p.state, point.t);
      }
      for (const life of this.lives.values()) if (!here.has(life.key)) this.live(life, "ended", point.t);
    }
    for (const life of this.lives.values()) life.unsure = life.state === "ended"; // it has counted more after the last point
  }

  draw(now, moves) {
    const all = [...this.lives.values()].sort((a, b) => b.gen - a.gen || b.pid - a.pid);
    let ended = 0;
    for (const life of all) {
      if (life.state !== "ended") continue;
      if (now - life.parts.at(-1).from > view || ++ended > mostEnded) {
        life.row?.remove();
        this.lives.delete(life.key);
      }
    }
    let at = this.list.firstElementChild;
    for (const life of all) {
      if (!this.lives.has(life.key)) continue;
      life.row ??= this.row(life);
      if (life.row === at) at = at.nextElementSibling;
      else this.list.insertBefore(life.row, at);
      this.fill(life, now);
    }
    const scale = this.dots.show(all.filter((l) => this.lives.has(l.key)).map((l) => ({
      key: l.key, open: l.open, pool: l.pool, colour: colour(l.version), rate: l.rate,
    })), moves);
    setText(byId("scale"), scale === 1 ? "a dot is a connection" : `a dot is ${scale} connections`);
  }

  row(life) {
    const part = (name) => (life[name] = el("span", { class: name }));
    const figure = (name, title) => el("div", {}, el("dt", {}, title), (life[`${name}At`] = el("dd", { "data-figure": name })));
    life.pool = el("div", { class: "pool", "aria-hidden": "true" });
    life.strip = el("div", { class: "strip", "aria-hidden": "true" });
    return el("li", { class: "lane", "data-pid": life.pid, "data-generation": life.gen },
      el("div", { class: "who" },
        el("p", { class: "name" }, el("strong", {}, `Generation ${life.gen}`), part("chip")),
        el("p", { class: "version" }, part("swatch"), part("label")),
        el("p", { class: "meta" }, part("meta"))),
      life.pool,
      el("dl", { class: "figures" },
        figure("open", "open"), figure("rate", "requests/s"), figure("requests", "answered"), figure("moved", "moved on")),
      life.strip);
  }

  fill(life, now) {
    const g = life.generation;
    life.row.dataset.state = life.state;
    setText(life.chip, states[life.state] ?? life.state);
    const left = (this.ends.get(life.pid) ?? 0) - now;
    if (life.state === "on_probation" && left > 0) setText(life.chip, `${states.on_probation}, ${left < 100000 ? `${(left / 1000).toFixed(1)} s` : ago(left)} left`);
    life.row.dataset.hue = hue(life.version);
    setText(life.label, versionName(life.version));
    life.label.title = life.version;
    const meta = [`pid ${life.pid}`];
    if (g?.release && g.release !== life.version) meta.push(`release ${g.release}`);
    if (life.state === "ended") {
      meta.push(`ended ${ago(now - life.parts.at(-1).from)} ago${life.missing ? ", without a last word" : ""}`);
    } else {
      if (isTime(g?.started)) meta.push(`up ${ago(now - Date.parse(g.started))}`);
      if (g?.memory) meta.push(bytes(g.memory));
      if (g?.deadline) meta.push(`until ${clock(g.deadline)}`);
    }
    if (now - life.cameAt < recent && life.state !== "ended") meta.push(`${number(life.cameHere)} moved here`);
    setText(life.meta, meta.join(" · "));
    setText(life.openAt, number(life.open));
    setText(life.rateAt, rate(life.rate));
    const least = life.unsure || life.missing ? "≥ " : "";
    setText(life.requestsAt, life.requests === undefined ? "–" : least + number(life.requests));
    setText(life.movedAt, life.movedOn === undefined ? "–" : least + number(life.movedOn));
    life.strip.replaceChildren(...life.parts.filter((p) => p.state !== "ended" && p.to > now - view).map((p) => {
      const e = el("i", { "data-state": p.state });
      const from = Math.max(0, 1 - (now - p.from) / view), to = 1 - (now - p.to) / view;
      e.style.left = `${from * 100}%`;
      e.style.width = `${Math.max(0.25, (to - from) * 100)}%`;
      return e;
    }));
  }
}
