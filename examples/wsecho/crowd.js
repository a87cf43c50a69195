// crowd opens WebSockets to wsecho and never another one for one that has closed. Each sends numbered messages, and
// checks that each of them comes back, and that the server's numbers come, once and in order.
//
// WebSocket is the browser's or that of the npm package ws, base is the server's address as ws://host:port, and sockets
// is how many there are. show, if given, gets the counts as a text. With control, the URL of a test, they say their last
// when a GET of control/stop is answered, and the test gets mistakes, counts and latencies by POST.
function crowd({ WebSocket, base, sockets, control, show }) {
	const paths = ['gorilla', 'coder', 'gobwas', 'melody', 'xnet'];
	const ahead = 100; // messages that are sent before the echo of the first is awaited
	const wrong = [];
	const latencies = []; // [when it was sent, how long it took], in milliseconds
	let stopping = false;

	const all = Array.from({ length: sockets }, (_, i) => open(paths[i % paths.length], i));

	function open(path, id) {
		const s = { open: false, closed: false, wrong: false, echoes: 0, numbers: 0, sent: [] };
		const complain = what => {
			if (s.wrong) return; // what follows from it
			s.wrong = true;
			wrong.push(`${path} ${id}, after ${s.echoes} echoes and ${s.numbers} numbers: ${what}`);
			if (control) post('wrong', wrong.at(-1));
		};
		const ws = new WebSocket(`${base}/${path}`);
		let ticks, last = false;
		ws.onopen = () => {
			s.open = true;
			ticks = setInterval(() => {
				const n = s.sent.length;
				if (last || n - s.echoes > ahead) return;
				if (stopping) {
					last = true;
					ws.send('end');
					return;
				}
				s.sent.push([Date.now(), performance.now()]);
				// x/net takes each fragment for a message, and a browser can send a long message in fragments.
				ws.send(n % 8 === 7 && path !== 'xnet' ? `${n} ${'abcdefgh'.repeat(n % 2000)}` : `${n}`);
			}, 20);
		};
		ws.onmessage = ({ data }) => {
			if (data === `number ${s.numbers}`) {
				s.numbers++;
			} else if (data.split(' ')[0] === `${s.echoes}`) {
				const [at, began] = s.sent[s.echoes++];
				latencies.push([at, performance.now() - began]);
			} else if (data === 'end' && last && s.echoes === s.sent.length) {
				ws.close(1000);
			} else {
				complain(data.slice(0, 40));
			}
		};
		ws.onerror = () => complain('an error');
		ws.onclose = e => {
			clearInterval(ticks);
			s.closed = true;
			const clean = e.wasClean && e.code === 1000 || path === 'xnet'; // which does not answer a close frame
			if (!last || !clean) complain(`closed with ${e.code}, clean: ${e.wasClean}`);
			if (control && all.every(s => s.closed)) post('result', JSON.stringify({ ...total(), latencies }));
		};
		return s;
	}

	function total() {
		const sum = f => all.reduce((n, s) => n + f(s), 0);
		return { echoes: sum(s => s.echoes), numbers: sum(s => s.numbers), open: sum(s => s.open && !s.closed) };
	}

	function post(path, body) {
		return fetch(`${control}/${path}`, { method: 'POST', body });
	}

	if (show) {
		setInterval(() => {
			const { echoes, numbers, open } = total();
			show(`${open} of ${sockets} are open, ${echoes} echoes, ${numbers} numbers\n${wrong.join('\n')}`);
		}, 100);
	}
	if (control) {
		setInterval(() => post('least', `${Math.min(...all.map(s => Math.min(s.echoes, s.numbers)))}`), 50);
		fetch(`${control}/stop`).then(() => { stopping = true; });
	}
}

if (typeof module !== 'undefined') module.exports = crowd;
