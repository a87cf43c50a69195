// Questions to the server of this page.

// A page on the loopback interface has its token behind the # of its address. It keeps it where no other port's page can
// read it, and takes it out of the address, which is shown, copied and remembered.
const place = "gracex-token";
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(place, given);
  history.replaceState(null, "", location.pathname + location.search);
}
const token = given ?? sessionStorage.getItem(place);

// Refused is an answer that says why something was not done.
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(path, { cache: "no-store", ...options, headers });
  if (response.ok) return response;
  let why = `status ${response.status}`;
  try {
    why = (await response.json()).error ?? why;
  } catch {
    // A guard before the page has answered.
  }
  throw new Refused(response.status, why);
}

export const get = async (path) => (await call(path)).json();

export const post = async (path, body = {}) =>
  (await call(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } })).json();

// lines calls f with each line of an answer, as it comes.
export async function lines(path, f) {
  const reader = (await call(path)).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const all = (rest + value).split("\n");
    rest = all.pop();
    for (const line of all) if (line) f(JSON.parse(line));
  }
}
