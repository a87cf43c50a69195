// The page: it asks its server each second, and shows what has come.

import { get } from "./api.js";
import { byId, setText, ago, versionName } from "./dom.js";
import { Lanes } from "./lanes.js";
import { Plots } from "./plots.js";
import { Events } from "./events.js";
import { Actions, outcomeWords } from "./actions.js";
import { showTotals } from "./totals.js";
import { showLast } from "./last.js";

const usual = 1000; // milliseconds between two questions
const quick = 250; // while an upgrade goes on
const quickFor = 6000; // after an event

const actions = new Actions();
const lanes = new Lanes();
const plots = new Plots();
const events = new Events((e, fresh) => {
  if (fresh) eventAt = performance.now();
  if (e.step === "concluded" && e.outcome) {
    plots.mark(Date.parse(e.time), e.outcome.kind);
    if (fresh && !actions.busy) actions.say(outcomeWords(e.outcome), e.outcome.ok ? "good" : "bad");
  }
  if (e.step === "probation" && e.probation_ms) lanes.probation(e.pid, Date.parse(e.time) + e.probation_ms);
});

let eventAt = -Infinity; // when an event came
let run = "", seq = 0; // of the points that this page has
let opened = 0; // by the clock of the app's machine
let wasGone = false;

function notice(text) {
  const e = byId("notice");
  e.hidden = !text;
  setText(e, text);
  document.body.classList.toggle("gone", Boolean(text));
}

async function look() {
  let state;
  try {
    state = await get(`state?run=${encodeURIComponent(run)}&after=${seq}`);
  } catch (err) {
    notice(err.status ? err.message : "The server of this page does not answer. It is asked again each second.");
    return err.status !== 401;
  }
  if (state.run !== run) seq = 0;
  run = state.run;
  if (state.seq < seq) plots.clear();
  seq = state.seq;
  show(state);
  if (!opened) events.watch((opened = state.now));
  return true;
}

function show(state) {
  plots.add(state.points);
  actions.show(state);
  if (!state.status) {
    notice(`The app does not answer: ${state.gone}. It is asked again each second.`);
    setText(byId("summary"), "does not answer");
    document.title = "gone · gracex";
    lanes.gone(state.now);
    wasGone = true;
    return;
  }
  if (wasGone) actions.say("The app answers again.", "good");
  wasGone = false;
  notice(state.older ? `No totals, plots and events: ${state.older}` : "");
  const { status } = state;
  const name = status.program.split("/").pop();
  setText(byId("name"), name);
  byId("name").title = status.program;
  document.title = `${name} ${status.version ?? ""} · gracex`;
  const parts = [versionName(status.version), stateWords(status)];
  const current = status.generations.find((g) => g.pid === status.pid);
  if (current?.started) parts.push(`up ${ago(state.now - Date.parse(current.started))}`);
  if (status.supervisor) parts.push(`supervisor ${status.supervisor}`);
  if (status.next_release) parts.push(`next start: ${status.next_release}`);
  setText(byId("summary"), parts.join(" · "));
  lanes.show(state, plots.points);
  plots.show(state.now);
  showTotals(state.totals);
  showLast(status.last_upgrade, state.now, (pid) => lanes.versionOf(pid));
}

function stateWords(status) {
  if (status.generations.some((g) => g.probation)) return "on probation";
  if (status.generations.some((g) => g.state === "upgrading")) return "an upgrade is under way";
  if (status.generations.some((g) => g.state === "stopping")) return "stops";
  return "serves";
}

// watch asks again and again: more often while something happens, and at once when the page is looked at again.
async function watch() {
  let wake = () => {};
  document.addEventListener("visibilitychange", () => wake());
  events.changed = () => wake();
  for (;;) {
    const began = performance.now();
    if (!(await look())) return;
    const every = performance.now() - eventAt < quickFor ? quick : usual;
    await new Promise((done) => {
      wake = done;
      setTimeout(done, Math.max(50, every - (performance.now() - began)));
    });
  }
}

watch();

