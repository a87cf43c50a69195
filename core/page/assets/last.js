// The last upgrade: what has become of it, and why.

import { byId, el, ago, millis, versionName } from "./dom.js";
import { outcomes } from "./events.js";

let shown = "";

// showLast takes a function that knows the version of a process: the old one does not always hear it.
export function showLast(last, now, versionOf) {
  const place = byId("last");
  const version = last && (last.outcome.version || versionOf(last.outcome.new_pid));
  const key = last ? `${last.at} ${version} ${ago(now - Date.parse(last.at))}` : "none";
  if (key === shown) return;
  shown = key;
  if (!last) {
    place.replaceChildren(el("p", { class: "quiet" }, "This process knows of none."));
    return;
  }
  const o = last.outcome;
  const row = (name, value) => value && el("div", {}, el("dt", {}, name), el("dd", {}, value));
  place.replaceChildren(
    el("p", { class: "headline" },
      el("span", { class: "badge", "data-kind": o.kind }, outcomes[o.kind] ?? o.kind),
      el("span", {}, versionName(o.old_version), " → ", versionName(version))),
    el("dl", { class: "facts" },
      row("When", el("time", { datetime: last.at }, `${new Date(last.at).toLocaleTimeString("en", { hour12: false })}, ${ago(now - Date.parse(last.at))} ago`)),
      row("Took", millis(o.took_ms)),
      row("Processes", o.new_pid ? `${o.old_pid} → ${o.new_pid}` : String(o.old_pid)),
      row("Release", o.release),
      row("Reason", o.reason),
      row("Exit", o.exit),
      row("Next start", o.next_start)),
    ...(o.warnings ?? []).map((w) => el("p", { class: "warning" }, `Warning: ${w}`)),
    o.stderr?.length ? el("figure", {},
      el("figcaption", {}, "The last lines that the new process wrote"),
      el("pre", { tabindex: "0" }, o.stderr.join("\n"))) : "");
}
