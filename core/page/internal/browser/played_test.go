package browser

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/page"
	"github.com/gracex-go/gracex/core/page/internal/played"
	"github.com/gracex-go/gracex/internal/must"
)

func always(*http.Request) bool { return true }

// serve serves the page of a played app, and returns its address without the token, and the token.
func serve(t *testing.T, config page.Config) (url, token string) {
	t.Helper()
	ln := must.Get(page.ListenLocal(""))(t)
	h, token := page.Local(config)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return fmt.Sprintf("http://%s/", ln.Addr()), token
}

// show opens the page of a played app.
func show(t *testing.T, app *played.App, as look) *tab {
	t.Helper()
	url, token := serve(t, page.Config{Source: app, Actions: always})
	return open(t, url+"#token="+token, as)
}

// lane is the selector of a lane that runs.
func lane(state string) string { return fmt.Sprintf(`.lane[data-state=%q]`, state) }

// has is an expression: the element's text has this part.
func has(selector, part string) string {
	return fmt.Sprintf("document.querySelector(%s)?.textContent.includes(%s)", quoted(selector), quoted(part))
}

// there is an expression: such an element is there.
func there(selector string) string {
	return fmt.Sprintf("document.querySelector(%s) !== null", quoted(selector))
}

// hostile is what an app could say to become a part of the page.
const hostile = `<img src=x onerror="window.hit=1"><script>window.hit=2</script>"'&amp;`

// Whatever an app says is shown as it is, and does nothing.
func TestHostileText(t *testing.T) {
	t.Parallel()
	app := played.New("v1"+hostile, 3)
	app.Program = "/srv/" + strings.ReplaceAll(hostile, "/", "") + "shop"
	p := show(t, app, desktop)
	p.await(there(lane("current")))
	app.Plan(played.Next{Version: "v2" + hostile, Fails: &control.Outcome{
		Kind: control.KindFailed, Reason: "reason " + hostile, Exit: "exit " + hostile,
		Stderr: []string{"stderr " + hostile}, Warnings: []string{"warning " + hostile},
	}})
	p.click("#upgrade")
	for selector, text := range map[string]string{
		"#name": "shop", "#summary": "v1" + hostile, "#outcome": "reason " + hostile, "#last pre": "stderr " + hostile,
		"#last .facts": "exit " + hostile, "#last .warning": "warning " + hostile, "#events": "reason " + hostile,
		"#lanes": "v1" + hostile, "#versions": "v1" + hostile,
	} {
		p.await(has(selector, text))
	}
	if n := eval[int](p, `document.querySelectorAll("img[src=x], body script").length + (window.hit ?? 0)`); n != 0 {
		t.Errorf("%d elements of the app's are in the page, or a script has run", n)
	}
	p.as(look{width: 360, height: 740})
	p.fits()
	p.clean()
}

// The page says that the app is gone, and goes on when it is there again.
func TestGoneAndBack(t *testing.T) {
	t.Parallel()
	app := played.New("v1", 3)
	p := show(t, app, desktop)
	p.await(there(lane("current")))
	app.Gone(true)
	p.await(has("#notice:not([hidden])", control.ErrStale.Error()))
	p.await(there(lane("ended")))
	p.await(`document.querySelector("#upgrade").getAttribute("aria-disabled") === "true"`)
	app.Gone(false)
	p.await(has("#outcome", "answers again") + " && " + there(lane("current")) + ` && document.querySelector("#notice").hidden`)
	p.clean()
}

// Without the token there is nothing to see, and the address that somebody copies does not have it.
func TestToken(t *testing.T) {
	t.Parallel()
	app := played.New("v1", 3)
	url, token := serve(t, page.Config{Source: app, Actions: always})
	p := open(t, url, desktop)
	p.expected = func(fault string) bool { return strings.Contains(fault, "401") }
	p.await(has("#notice:not([hidden])", "token is missing"))
	if n := eval[int](p, `document.querySelectorAll(".lane").length`); n != 0 || strings.Contains(p.text("body"), "v1") {
		t.Errorf("%d lanes without the token: %s", n, p.text("body"))
	}
	p.run(chromedp.Navigate(url+"#token="+token), chromedp.Reload())
	p.await(there(lane("current")))
	if at := eval[string](p, "location.href"); at != url {
		t.Errorf("the address is %s", at)
	}
	p.run(chromedp.Reload())
	p.await(there(lane("current")))
	p.clean()
}

// A page that may change nothing has no buttons.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	url, token := serve(t, page.Config{Source: played.New("v1", 3)})
	p := open(t, url+"#token="+token, desktop)
	p.await(there(lane("current")) + ` && !document.querySelector("#read-only").hidden`)
	if n := eval[int](p, `[...document.querySelectorAll("button")].filter((b) => b.checkVisibility()).length`); n != 0 {
		t.Errorf("%d buttons", n)
	}
	p.clean()
}

// A reload keeps the plots and the lanes of processes that have ended.
func TestReload(t *testing.T) {
	t.Parallel()
	app := played.New("v1", 3)
	p := show(t, app, desktop)
	p.await(there(lane("current")) + ` && document.querySelector("#plot-requests").getAttribute("aria-label").includes("v1")`)
	app.Plan(played.Next{Version: "v2"})
	_, _ = app.Upgrade(context.Background(), control.UpgradeOptions{})
	p.await(there(lane("ended")) + ` && document.querySelector("#plot-requests").getAttribute("aria-label").includes("v2")`)
	p.run(chromedp.Reload())
	p.await(there(lane("ended")) + ` && document.querySelector("#plot-requests").getAttribute("aria-label").includes("v2")`)
	p.click("#plots-table summary")
	p.await(has("#plots-table", "v1"))
	p.clean()
}

// tabTo presses the key Tab until the element has the focus.
func (p *tab) tabTo(selector string) {
	p.t.Helper()
	for range 40 {
		if eval[bool](p, fmt.Sprintf("document.activeElement.matches(%s)", quoted(selector))) {
			// What has the focus can be seen to have it.
			if eval[string](p, "getComputedStyle(document.activeElement).outlineStyle") == "none" {
				p.t.Errorf("%s has the focus, and does not show it", selector)
			}
			return
		}
		p.run(chromedp.KeyEvent(kb.Tab))
	}
	p.t.Fatalf("no way to %s by the key Tab; the focus is at %s", selector, eval[string](p, "document.activeElement.outerHTML.slice(0, 80)"))
}

// Everything can be done by keyboard, and what has become of it is told to a screen reader.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	app := played.New("v1", 20)
	p := show(t, app, desktop)
	p.await(there(lane("current")))
	p.tabTo(".skip")
	p.tabTo("#upgrade")

	app.Plan(played.Next{Version: "v2", Probation: time.Hour, Drain: time.Second})
	p.run(chromedp.KeyEvent(kb.Enter))
	p.await(there(lane("on_probation")) + ` && document.querySelector("#promote").getAttribute("aria-disabled") === "false"`)
	p.run(chromedp.KeyEvent(kb.Enter)) // the focus is still on a button that does nothing now
	p.tabTo("#promote")
	p.run(chromedp.KeyEvent(" "))
	p.await(has("#outcome[aria-live=polite]", "Upgraded: v2 serves"))
	p.await("!" + there(lane("on_probation")) + ` && document.querySelector("#upgrade").getAttribute("aria-disabled") === "false"`)

	app.Plan(played.Next{Version: "v3", Probation: time.Hour})
	p.tabTo("#upgrade")
	p.run(chromedp.KeyEvent(kb.Enter))
	p.await(there(lane("on_probation")) + ` && document.querySelector("#rollback").getAttribute("aria-disabled") === "false"`)
	p.tabTo("#rollback")
	p.run(chromedp.KeyEvent(kb.Enter))
	p.tabTo("#reason")
	p.run(chromedp.KeyEvent("error rate 4 %"), chromedp.KeyEvent(kb.Enter))
	p.await(has("#outcome", "Rolled back: an operator has asked for it: error rate 4 %"))
	p.await(`document.activeElement.id === "rollback"`) // a dialog gives the focus back

	p.tabTo("#stop")
	p.run(chromedp.KeyEvent(kb.Enter))
	p.await(`document.querySelector("#ask-stop").open && document.activeElement.value === "no"`)
	p.run(chromedp.KeyEvent(kb.Enter))
	p.await(`!document.querySelector("#ask-stop").open`)
	p.tabTo("#stop")
	p.run(chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Escape))
	p.await(`!document.querySelector("#ask-stop").open`)
	if got := app.Asked(); slices.Contains(got, "stop") {
		t.Fatalf("the app was asked %q", got)
	}
	p.tabTo("#stop")
	p.run(chromedp.KeyEvent(kb.Enter))
	p.tabTo("#ask-stop [value=yes]")
	p.run(chromedp.KeyEvent(kb.Enter))
	p.await(has("#notice:not([hidden])", "does not answer"))
	if got, want := app.Asked(), []string{"upgrade", "promote", "upgrade", "rollback error rate 4 %", "stop"}; !slices.Equal(got, want) {
		t.Errorf("the app was asked %q, not %q", got, want)
	}
	p.clean()
}

// A button that can't be pressed now says so, and does nothing.
func TestButtons_NotNow(t *testing.T) {
	t.Parallel()
	app := played.New("v1", 3)
	p := show(t, app, desktop)
	p.await(there(lane("current")))
	p.click("#promote")
	p.click("#rollback")
	if eval[bool](p, `document.querySelector("#ask-rollback").open`) || len(app.Asked()) > 0 {
		t.Errorf("without a probation: %q", app.Asked())
	}
	p.clean()
}

// What is drawn is there in words as well, and everything has a name and a language.
func TestScreenReader(t *testing.T) {
	t.Parallel()
	p := show(t, played.New("v1", 20), desktop)
	p.await(there(lane("current")) + ` && document.querySelector("#plot-latency").getAttribute("aria-label").includes("p50 3 ms, p99 21 ms")`)
	p.await(`/^v1: [12],?[0-9]{3} requests a second$/.test(document.querySelector("#plot-requests").getAttribute("aria-label"))`)
	for what, wrong := range map[string]string{
		"no language":          `document.documentElement.lang === "en" ? [] : ["html"]`,
		"landmarks":            `["header", "main", "h1"].filter((s) => document.querySelectorAll(s).length !== 1)`,
		"no name of a section": `[...document.querySelectorAll("section")].filter((s) => !document.getElementById(s.getAttribute("aria-labelledby"))?.textContent)`,
		"no name of a button":  `[...document.querySelectorAll("button")].filter((b) => !b.textContent.trim())`,
		"no text of a picture": `[...document.querySelectorAll("img")].filter((i) => i.getAttribute("alt") === null)`,
		"a drawing without words": `[...document.querySelectorAll("canvas")].filter((c) =>
			c.getAttribute("aria-hidden") !== "true" && !c.closest("[role=img]")?.getAttribute("aria-label"))`,
		"a table without heads": `[...document.querySelectorAll("table")].filter((t) => t.rows.length && !t.querySelector("th[scope]"))`,
		"twice the same id":     `[...document.querySelectorAll("[id]")].filter((e) => document.querySelectorAll("#" + CSS.escape(e.id)).length > 1)`,
		"what scrolls has no focus": `[...document.querySelectorAll("*")].filter((e) =>
			/auto|scroll/.test(getComputedStyle(e).overflowY) && e.matches("div, pre") && e.tabIndex < 0)`,
	} {
		if bad := eval[[]string](p, "("+wrong+").map((e) => e.outerHTML?.slice(0, 80) ?? e)"); len(bad) > 0 {
			t.Errorf("%s: %q", what, bad)
		}
	}
	p.click("#plots-table summary")
	p.await(`document.querySelector("#plots-table tbody tr")?.textContent.includes("v1") && document.querySelector("#plots-table tbody").textContent.includes("21 ms")`)
	p.clean()
}

// contrast lists the texts that do not stand out from what is behind them as WCAG 2.2 wants it (4.5:1). A button that
// can't be pressed is exempt.
const contrast = `(() => {
	const rgb = (c) => c.match(/[\d.]+/g).map(Number);
	const light = (c) => c.slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const c = rgb(getComputedStyle(e).backgroundColor);
			if (c.length === 3 || c[3] === 1) return c;
		}
		return [255, 255, 255];
	};
	return [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.closest("[aria-disabled=true], .hidden, .skip") &&
		[...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).flatMap((e) => {
		const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);
		return ratio < 4.5 ? [ratio.toFixed(2) + " " + e.outerHTML.slice(0, 90)] : [];
	});
})()`

// Both themes can be read, in every state, and nothing is wider than a phone.
func TestThemes(t *testing.T) {
	t.Parallel()
	app := played.New("v1", 36)
	p := show(t, app, desktop)
	views := map[string]look{
		"light": desktop, "dark": {width: 1280, height: 900, dark: true},
		"phone": {width: 360, height: 740}, "phone-dark": {width: 360, height: 740, dark: true},
	}
	all := func(state string) {
		for name, l := range views {
			p.as(l)
			if bad := eval[[]string](p, contrast); len(bad) > 0 {
				t.Errorf("%s, %s: too little contrast: %s", state, name, strings.Join(bad, "\n"))
			}
			p.fits()
			p.shoot("played-"+state+"-"+name, true)
		}
	}
	p.await(there(lane("current")))
	app.Plan(played.Next{Version: "v2-a-version-with-a-name-that-is-as-long-as-those-of-a-commit-0123456789abcdef", Probation: time.Hour, Drain: time.Second})
	p.click("#upgrade")
	p.await(there(lane("on_probation")))
	all("probation")
	p.click("#promote")
	p.await("!" + there(lane("on_probation")) + " && " + there(lane("ended")))
	app.Plan(played.Next{Version: "v3", Fails: &control.Outcome{
		Kind: control.KindFailed, Reason: "it ended before it was ready: exit status 2", Exit: "exit status 2",
		Stderr:   []string{"panic: open /etc/shop/shop.conf: no such file or directory", "", "goroutine 1 [running]:", "main.main()"},
		Warnings: []string{"the symlink /srv/shop/current was switched to a release which does not run now"},
	}})
	p.click("#upgrade")
	p.await(has("#outcome[data-kind=bad]", "exit status 2"))
	all("failed")
	app.Gone(true)
	p.await(there("#notice:not([hidden])"))
	all("gone")
	p.clean()
}

// Whoever wants no motion gets none: no frame is drawn but for an answer of the app.
func TestCalm(t *testing.T) {
	t.Parallel()
	// frames is how many were drawn from the confirmation of an upgrade until the old process has ended, for each answer
	// of the app.
	frames := func(calm bool) float64 {
		app := played.New("v1", 36)
		p := show(t, app, look{width: 1280, height: 900, calm: calm})
		p.await(there(lane("current")))
		app.Plan(played.Next{Version: "v2", Drain: 2 * time.Second})
		_ = eval[bool](p, `(() => {
			const draw = window.requestAnimationFrame.bind(window), ask = window.fetch.bind(window);
			window.drawn = window.asked = 0;
			window.requestAnimationFrame = (f) => draw((t) => { window.drawn++; f(t); });
			window.fetch = (...a) => { if (String(a[0]).startsWith("state")) window.asked++; return ask(...a); };
			return true;
		})()`)
		p.click("#upgrade")
		p.await(there(lane("ended")) + " && window.asked > 10")
		p.clean()
		return eval[float64](p, "window.drawn / window.asked")
	}
	if n := frames(true); n > 2 {
		t.Errorf("%.1f frames for each answer of the app", n)
	}
	if n := frames(false); n < 3 { // or this test would see nothing
		t.Errorf("with motion: %.1f frames for each answer of the app", n)
	}
}

// The page is never one of another port: what it keeps is its own.
func TestOtherPort(t *testing.T) {
	t.Parallel()
	app := played.New("v1", 3)
	url, token := serve(t, page.Config{Source: app, Actions: always})
	// A page of another program, which a user of this machine serves, and which tries everything that it can.
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	evil := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><title>other</title><iframe src=%q></iframe><script>
			const to = %q;
			(async () => {
				const said = [document.cookie, ...Object.values(sessionStorage), ...Object.values(localStorage)];
				for (const options of [{}, {mode: "no-cors"}, {credentials: "include"}]) {
					for (const path of ["state", "stop", "upgrade"]) {
						const method = path === "state" ? "GET" : "POST";
						try { said.push(await (await fetch(to + path, {method, body: method === "POST" ? "{}" : undefined, ...options})).text()); } catch {}
						try { said.push(await (await fetch(to + path, {method, body: method === "POST" ? "{}" : undefined, headers: {"Content-Type": "application/json"}, ...options})).text()); } catch {}
					}
				}
				try { said.push(frames[0].document.body.textContent); } catch {}
				document.title = "said:" + said.join("");
			})();
		</script>`, url, url)
	})}
	go func() { _ = evil.Serve(ln) }()
	t.Cleanup(func() { _ = evil.Close() })
	p := open(t, url+"#token="+token, desktop)
	p.await(there(lane("current")))
	p.run(chromedp.Navigate(fmt.Sprintf("http://%s/", ln.Addr())))
	p.await(`document.title.startsWith("said:")`)
	if said := eval[string](p, "document.title"); said != "said:" {
		t.Errorf("the other page has learned %q", said)
	}
	if got := app.Asked(); len(got) > 0 {
		t.Errorf("the app was asked %q", got)
	}
}
