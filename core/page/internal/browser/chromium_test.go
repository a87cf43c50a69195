package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/gracex-go/gracex/internal/must"
)

// patience is how long a test waits for what the page is to show. It is no limit that a page has to keep.
const patience = 2 * time.Minute

// tab is a page in Chromium.
type tab struct {
	t      *testing.T
	ctx    context.Context
	origin string

	mu       sync.Mutex
	faults   []string // what the page or the browser has complained of
	outside  []string // what was asked for elsewhere
	expected func(fault string) bool
}

// look is how a page is looked at.
type look struct {
	width, height int64
	dark, calm    bool
}

var desktop = look{width: 1280, height: 900}

// open opens an address in a Chromium of its own. Without one the test is skipped, unless CORE_TEST_CHROMIUM is set. If
// that is 0, it is skipped anyway.
func open(t *testing.T, url string, as look) *tab {
	t.Helper()
	if os.Getenv("CORE_TEST_CHROMIUM") == "0" {
		t.Skip("CORE_TEST_CHROMIUM is 0")
	}
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CORE_TEST_CHROMIUM") != "" {
			t.Fatal(err)
		}
		t.Skip("no Chromium; CORE_TEST_CHROMIUM=1 makes that a failure: ", err)
	}
	// No sandbox: root has none, and the page is our own. Nothing is asked of the browser's maker.
	flags := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), flags...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	p := &tab{t: t, ctx: ctx, origin: url[:strings.Index(url[len("http://"):], "/")+len("http://")]}
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // so that nobody writes to the directory any more
		cancel()
	})
	must.Do(t, chromedp.Listen(ctx, p.hear)) // it starts the browser
	must.Get(chromedp.Call(ctx, network.Enable, network.EnableParams{}))(t)
	must.Get(chromedp.Call(ctx, log.Enable, cdp.Empty{}))(t)
	p.as(as)
	p.run(chromedp.Navigate(url))
	return p
}

// hear notes what the page and the browser complain of, and what they ask for.
func (p *tab) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		p.faults = append(p.faults, "exception: "+text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			p.faults = append(p.faults, fmt.Sprintf("console.%s: %s", e.Type, e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		p.faults = append(p.faults, fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, p.origin+"/") && !strings.HasPrefix(u, "data:") {
			p.outside = append(p.outside, u)
		}
	}
}

// run has the browser do something, at most for as long as the test is patient.
func (p *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	must.Do(p.t, chromedp.Do(ctx, actions...))
}

// as looks at the page in another way.
func (p *tab) as(l look) {
	p.t.Helper()
	scheme, motion := "light", "no-preference"
	if l.dark {
		scheme = "dark"
	}
	if l.calm {
		motion = "reduce"
	}
	must.Get(chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: l.width, Height: l.height, DeviceScaleFactor: 2, Mobile: l.width < 600,
	}))(p.t)
	must.Get(chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
	}}))(p.t)
}

// eval is the value of an expression in the page.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return must.Get(chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise)))(p.t)
}

// await waits until an expression is true in the page.
func (p *tab) await(expression string) {
	p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if eval[bool](p, fmt.Sprintf(`new Promise((done) => {
			let left = 40;
			const look = () => (%s) ? done(true) : --left ? setTimeout(look, 50) : done(false);
			look();
		})`, expression)) {
			return
		}
	}
	p.t.Fatalf("waiting for %s\nthe page says:\n%s\n%v", expression, eval[string](p, "document.body.innerText"), p.complaints())
}

// text is that of the element.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, fmt.Sprintf("document.querySelector(%s)?.textContent ?? ''", quoted(selector)))
}

// click presses a button, as somebody does who sees it.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.run(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// complaints are what the page and the browser have complained of.
func (p *tab) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, f := range p.faults {
		if p.expected == nil || !p.expected(f) {
			all = append(all, f)
		}
	}
	return all
}

// clean checks that nobody has complained, and that nothing was asked for elsewhere.
func (p *tab) clean() {
	p.t.Helper()
	for _, f := range p.complaints() {
		p.t.Error("the page complains: ", f)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.outside) > 0 {
		p.t.Errorf("asked for elsewhere: %v", p.outside)
	}
}

// fits checks that nothing is wider than the window.
func (p *tab) fits() {
	p.t.Helper()
	if wide := eval[[]string](p, `[...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, pre, .skip, .hidden") &&
		e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5 && e.getClientRects().length).map((e) => e.outerHTML.slice(0, 100))`); len(wide) > 0 {
		p.t.Errorf("wider than the window: %s", strings.Join(wide, "\n"))
	}
}

// shoot takes a picture of the window, or of the whole page. It is kept if -shots names a directory.
func (p *tab) shoot(name string, whole bool) []byte {
	p.t.Helper()
	take := chromedp.CaptureScreenshot()
	if whole {
		take = chromedp.FullScreenshot(100)
	}
	picture := must.Get(chromedp.Run(p.ctx, take))(p.t)
	if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
		p.t.Error(name, err)
	}
	if *shots != "" {
		must.Do(p.t, os.WriteFile(filepath.Join(*shots, name+".png"), picture, 0o600))
	}
	return picture
}
