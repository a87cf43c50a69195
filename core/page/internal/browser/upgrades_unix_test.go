//go:build unix

package browser

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/page"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// shortDir is a directory for one test whose name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir := must.Get(os.MkdirTemp("", "gxp"))(t)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// number is a number as the page writes it.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// figure is the selector of a figure of a process's lane.
func figure(pid int, name string) string {
	return fmt.Sprintf(`.lane[data-pid="%d"] [data-figure=%s]`, pid, name)
}

// total is the selector of one of the totals.
func total(name string) string { return fmt.Sprintf(`#totals [data-total=%q]`, name) }

// reads is an expression: the element has this text.
func reads(selector, text string) string {
	return fmt.Sprintf("document.querySelector(%s)?.textContent === %s", quoted(selector), quoted(text))
}

// TestTenUpgrades: the page tells of ten upgrades of the demo's server under load what the clients have seen.
func TestTenUpgrades(t *testing.T) {
	t.Parallel()
	const upgrades, keepers = 10, 24
	dir := shortDir(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	place := func(n int) { must.Do(t, os.WriteFile(in("version"), fmt.Appendf(nil, "v1.%d.0", n), 0o600)) }
	place(0)
	proctest.Build(t, in("gin"), "github.com/gracex-go/gracex/examples/gin")
	addr := proctest.FreeAddr(t)
	app := proctest.Start(t, &exec.Cmd{
		Path: in("gin"), Env: append(os.Environ(), core.EnvMode+"=self"), Dir: dir,
		Args: []string{in("gin"), "-addr", addr, "-pidfile", in("pid"), "-control", in("sock"), "-versionfile", in("version"), "-probation", "300ms"},
	})
	pid := app.AwaitPID(in("pid"), 0)
	client := control.Dial(in("sock"))
	url, token := serve(t, page.Config{Source: client, Actions: always})
	p := open(t, url+"#token="+token, desktop)
	p.await(there(fmt.Sprintf(`.lane[data-pid="%d"][data-state=current]`, pid)))

	keeping := load.Start(load.Config{Addr: addr, Clients: keepers, Think: 5 * time.Millisecond})
	fresh := load.Start(load.Config{Addr: addr, Fresh: 2, Think: 5 * time.Millisecond})
	type counts struct{ answered, moved string }
	ended := map[int]counts{}
	for n := range upgrades {
		place(n + 1)
		if n%2 == 0 {
			p.await(`document.querySelector("#upgrade").getAttribute("aria-disabled") === "false"`)
			p.click("#upgrade")
		} else {
			app.Signal(pid, syscall.SIGUSR2) // and the page hears of it
		}
		p.await(has("#outcome[data-kind=good]", fmt.Sprintf("Upgraded: v1.%d.0 serves", n+1)))
		old := pid
		pid = app.AwaitPID(in("pid"), old)
		p.await(there(fmt.Sprintf(`.lane[data-pid="%d"][data-state=ended]`, old)) + " && " +
			there(fmt.Sprintf(`.lane[data-pid="%d"][data-state=current]`, pid)) + ` && !document.querySelector(".lane[data-state=draining]")`)
		if got := p.text(fmt.Sprintf(`.lane[data-pid="%d"] .label`, pid)); got != fmt.Sprintf("v1.%d.0", n+1) {
			t.Errorf("upgrade %d: the lane of process %d has version %q", n+1, pid, got)
		}
		// The last word of the old process can come later than its end.
		moved := must.Get(client.Totals(t.Context(), 0))(t).Ended.MovedConnections()
		for _, c := range ended {
			moved -= uint64(must.Get(strconv.Atoi(strings.ReplaceAll(c.moved, ",", "")))(t))
		}
		p.await(reads(figure(old, "moved"), number(int(moved))))
		ended[old] = counts{p.text(figure(old, "requests")), p.text(figure(old, "moved"))}
	}
	freshly := fresh.Stop()
	p.await(reads(figure(pid, "open"), number(keepers)))
	kept := keeping.Stop()
	p.await(reads(figure(pid, "open"), "0"))
	if freshly.Failed+kept.Failed+kept.Reconnects > 0 {
		t.Errorf("the clients have noticed: %v\n%v", freshly, kept)
	}

	p.await(reads(total("requests"), number(freshly.Requests+kept.Requests)))
	p.await(reads(total("accepted"), number(freshly.Connects+kept.Connects)))
	p.await(reads(total("upgrades-upgraded"), number(upgrades)))
	for _, name := range []string{"cut", "cut-requests"} {
		if got := p.text(total(name)); got != "0" {
			t.Errorf("%s: %s", name, got)
		}
	}
	moved := 0
	for old, c := range ended {
		moved += must.Get(strconv.Atoi(strings.ReplaceAll(c.moved, ",", "")))(t)
		served := 0
		for _, r := range []load.Result{freshly, kept} {
			for server, n := range r.Served {
				if server.PID == strconv.Itoa(old) {
					served += n
				}
			}
		}
		if c.answered != number(served) {
			t.Errorf("process %d: the lane says %s answered, and the clients had %d answers", old, c.answered, served)
		}
	}
	// Each of those that keep their connection has kept it: it has moved in each upgrade.
	if moved < keepers*upgrades || p.text(total("moved")) != number(moved) {
		t.Errorf("the lanes have %d connections that moved, the totals %s, and %d clients kept theirs through %d upgrades",
			moved, p.text(total("moved")), keepers, upgrades)
	}
	if n := eval[int](p, `document.querySelectorAll("#events tr[data-step=concluded][data-kind=upgraded]").length`); n != upgrades {
		t.Errorf("%d upgrades among the events", n)
	}
	p.click("#plots-table summary")
	p.await(has("#plots-table", fmt.Sprintf("v1.%d.0", upgrades)))
	for name, l := range map[string]look{"light": desktop, "dark": {width: 1280, height: 900, dark: true}, "phone": {width: 360, height: 740}} {
		p.as(l)
		p.fits()
		p.shoot("upgrades-"+name, true)
	}
	p.clean()
}

// TestMounted: an app that shows itself is upgraded, promoted, rolled back and stopped by its own page, which stays open.
func TestMounted(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	proctest.Install(t, in("app"))
	place := func(version string) { must.Do(t, os.WriteFile(in("version"), []byte(version), 0o600)) }
	place("v1")
	addr, admin := proctest.FreeAddr(t), proctest.FreeAddr(t)
	app := proctest.Start(t, &exec.Cmd{Path: in("app"), Args: []string{in("app")}, Dir: dir, Env: append(os.Environ(),
		playEnv+"=app", "APP_ADDR="+addr, "APP_ADMIN="+admin, "XDG_RUNTIME_DIR="+dir, "PWD="+dir, core.EnvMode+"=self")})
	first := app.AwaitPID(in("app.pid"), 0)
	proctest.Await(t, "the page answers", func() bool {
		resp, err := http.Get("http://" + admin + "/gracex/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
	run := load.Start(load.Config{Addr: addr, Clients: 8, Think: 5 * time.Millisecond})
	p := open(t, "http://"+admin+"/gracex/", desktop)
	p.await(there(fmt.Sprintf(`.lane[data-pid="%d"][data-state=current]`, first)))

	place("v2")
	p.click("#upgrade")
	p.await(there(lane("on_probation")) + ` && document.querySelector("#promote").getAttribute("aria-disabled") === "false"`)
	p.click("#promote")
	p.await(has("#outcome[data-kind=good]", "Upgraded: v2 serves"))
	second := procgroup.ReadPIDFile(in("app.pid"))
	p.await(there(fmt.Sprintf(`.lane[data-pid="%d"][data-state=ended]`, first)) + " && " + there(fmt.Sprintf(`.lane[data-pid="%d"][data-state=current]`, second)))

	place("v3")
	p.await(`document.querySelector("#upgrade").getAttribute("aria-disabled") === "false"`)
	p.click("#upgrade")
	p.await(there(lane("on_probation")) + ` && document.querySelector("#rollback").getAttribute("aria-disabled") === "false"`)
	p.click("#rollback")
	p.click("#ask-rollback [value=yes]")
	p.await(has("#outcome", "Rolled back:") + " && " + there(fmt.Sprintf(`.lane[data-pid="%d"][data-state=current]`, second)))
	p.await(has("#last", "v3") + " && " + has("#last .badge", "rolled back"))
	p.await(reads(total("upgrades"), "2"))
	if got := procgroup.ReadPIDFile(in("app.pid")); got != second {
		t.Errorf("process %d serves, not %d", got, second)
	}
	// What a page of another site asks for is not done.
	req := must.Get(http.NewRequest(http.MethodPost, "http://"+admin+"/gracex/stop", strings.NewReader("{}")))(t)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", "https://evil.example")
	resp := must.Get(http.DefaultClient.Do(req))(t)
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a forged stop has status %d", resp.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
	if r := run.Stop(); r.Failed > 0 { // a version that is rolled back asks its clients to reconnect
		t.Error(r)
	}
	p.clean()
	p.shoot("mounted", true)

	p.expected = func(fault string) bool { return strings.Contains(fault, "net::ERR_") } // nobody listens any more
	p.click("#stop")
	p.click("#ask-stop [value=yes]")
	if code := app.AwaitEnd(); code != 0 { // it would be another one if a request of the page had been cut
		t.Errorf("exit status %d", code)
	}
	p.await(has("#notice:not([hidden])", "server of this page does not answer"))
	p.clean()
}
