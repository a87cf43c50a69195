// The buttons, and what has become of what they did.

import { post } from "./api.js";
import { byId, setText, millis, versionName } from "./dom.js";

export function outcomeWords(o) {
  const serves = `${versionName(o.old_version)} serves on.`;
  switch (o.kind) {
    case "upgraded":
      return `Upgraded: ${versionName(o.version)} serves, after ${millis(o.took_ms)}.`;
    case "rolled_back":
      return `Rolled back: ${o.reason || "no reason was given"}. ${versionName(o.old_version)} serves again.`;
    case "refused":
      return `Refused: ${o.reason}`;
    case "timed_out":
      return `The new version was not ready in time: ${o.reason}. ${serves}`;
    default:
      return `The upgrade failed: ${o.reason || "no reason was given"}. ${serves}`;
  }
}

export class Actions {
  constructor() {
    this.busy = false; // this page does something
    this.possible = {};
    const buttons = {
      upgrade: () => this.do("upgrade", "An upgrade is under way.", {}, (d) => [outcomeWords(d.outcome), d.outcome.ok]),
      promote: () => this.do("promote", "The probation is ended.", {}, () => ["Promoted: the new version goes on by itself.", true]),
      rollback: async () => {
        if (!(await this.ask("ask-rollback"))) return;
        const reason = byId("reason").value;
        await this.do("rollback", "The upgrade is rolled back.", { reason }, () => ["Rolled back: the old version serves again.", true]);
      },
      stop: async () => {
        if (!(await this.ask("ask-stop"))) return;
        await this.do("stop", "The service stops.", {}, () => ["The service stops. What it has begun is finished.", true]);
      },
    };
    for (const [name, f] of Object.entries(buttons)) {
      // Not the attribute disabled: the button would lose the focus, and a screen reader would not find it.
      byId(name).addEventListener("click", () => { if (this.possible[name]) f(); });
    }
  }

  // show says what is possible now.
  show(state) {
    byId("actions").hidden = !state.actions;
    byId("read-only").hidden = state.actions;
    const generations = state.status?.generations ?? [];
    const probation = generations.some((g) => g.probation);
    const upgrading = probation || generations.some((g) => g.state === "upgrading");
    const serves = Boolean(state.status) && !generations.some((g) => g.state === "stopping");
    this.possible = { upgrade: serves && !upgrading && !this.busy, promote: probation, rollback: probation, stop: serves };
    for (const [name, possible] of Object.entries(this.possible)) byId(name).setAttribute("aria-disabled", String(!possible));
  }

  // ask opens a dialog, and returns whether it was answered by yes.
  ask(id) {
    const dialog = byId(id), turn = (this.turn = (this.turn ?? 0) + 1);
    dialog.returnValue = "no";
    dialog.showModal();
    return new Promise((done) => {
      const closed = () => {
        // It can have been opened again before it is told that it was closed.
        if (turn === this.turn && dialog.open) return;
        dialog.removeEventListener("close", closed);
        done(turn === this.turn && dialog.returnValue === "yes");
      };
      dialog.addEventListener("close", closed);
    });
  }

  async do(path, meanwhile, body, outcome) {
    const upgrade = path === "upgrade";
    if (upgrade) this.busy = true;
    const said = this.say(meanwhile, "busy");
    try {
      const [words, ok] = outcome(await post(path, body));
      // The outcome of the upgrade can have come meanwhile, and says more.
      if (upgrade || this.said === said) this.say(words, ok ? "good" : "bad");
    } catch (err) {
      this.say(err.status ? `Not done: ${err.message}` : "The answer got lost. The events say what has become of it.", "bad");
    } finally {
      if (upgrade) this.busy = false;
    }
  }

  // say shows words, and returns how many times it has.
  say(words, kind) {
    const e = byId("outcome");
    setText(e, words);
    e.dataset.kind = kind;
    return (this.said = (this.said ?? 0) + 1);
  }
}
