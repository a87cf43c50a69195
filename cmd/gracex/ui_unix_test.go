//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// shown is a page of "gracex ui".
type shown struct {
	t           *testing.T
	cmd         *exec.Cmd
	addr, token string // addr ends in a slash
}

// ui runs the command until its address is known.
func (s *site) ui(args ...string) *shown {
	s.t.Helper()
	c, _, _ := s.command(append([]string{"ui"}, args...)...)
	c.Stdout = nil
	out := must.Get(c.StdoutPipe())(s.t)
	must.Do(s.t, c.Start())
	u := &shown{t: s.t, cmd: c}
	s.t.Cleanup(func() {
		if c.ProcessState == nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, token, found := strings.Cut(strings.TrimSpace(lines.Text()), "#token="); found {
			u.addr, u.token = addr, token
		}
		if strings.Contains(lines.Text(), "Ctrl-C") {
			break
		}
	}
	if u.addr == "" {
		s.t.Fatalf("no address; it wrote %s", c.Stderr)
	}
	return u
}

// ask asks as the page does, and returns the status and what the answer says.
func (u *shown) ask(method, path, token string) (status int, answer struct {
	Status  *control.Status
	Gone    string
	Error   string
	Actions bool
}) {
	u.t.Helper()
	req := must.Get(http.NewRequest(method, u.addr+path, strings.NewReader("{}")))(u.t)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", strings.TrimSuffix(u.addr, "/"))
	resp := must.Get(http.DefaultClient.Do(req))(u.t)
	defer resp.Body.Close()
	must.Do(u.t, json.NewDecoder(resp.Body).Decode(&answer))
	return resp.StatusCode, answer
}

// TestUI: the page shows the app to who has the token, says that the app is gone, and shows it when it was started anew.
func TestUI(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start()
	first := s.pid()
	u := s.ui()
	for _, wrong := range []string{"", "x", u.token + "x"} {
		if status, _ := u.ask("GET", "state", wrong); status != http.StatusUnauthorized {
			t.Errorf("with the token %q: status %d", wrong, status)
		}
		if status, _ := u.ask("POST", "stop", wrong); status != http.StatusUnauthorized {
			t.Errorf("a stop with the token %q: status %d", wrong, status)
		}
	}
	if status, a := u.ask("GET", "state", u.token); status != http.StatusOK || a.Status == nil || a.Status.PID != first || !a.Actions {
		t.Errorf("%d %+v", status, a)
	}
	if status, _ := u.ask("POST", "promote", u.token); status != http.StatusConflict {
		t.Errorf("a promotion without a probation: status %d", status)
	}
	reader := s.ui("--read-only", "--listen", "localhost:0")
	if _, a := reader.ask("GET", "state", reader.token); a.Status == nil || a.Actions {
		t.Errorf("read only: %+v", a)
	}
	if status, _ := reader.ask("POST", "stop", reader.token); status != http.StatusForbidden {
		t.Errorf("a stop by a page that may only read: status %d", status)
	}

	if status, a := u.ask("POST", "stop", u.token); status != http.StatusOK {
		t.Errorf("stop: %d %+v", status, a)
	}
	if code := s.app.AwaitEnd(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	proctest.Await(t, "the page says that the app is gone", func() bool {
		_, a := u.ask("GET", "state", u.token)
		return a.Status == nil && a.Gone != ""
	})
	self := must.Get(os.Executable())(t)
	again := proctest.Start(t, &exec.Cmd{Path: self, Args: []string{filepath.Join(s.dir, "app")}, Dir: s.dir, Env: s.env("app")})
	second := again.AwaitPID(filepath.Join(s.dir, "app.pid"), first)
	proctest.Await(t, "the page shows process "+strconv.Itoa(second), func() bool {
		_, a := u.ask("GET", "state", u.token)
		return a.Status != nil && a.Status.PID == second
	})
	http.DefaultClient.CloseIdleConnections()
	must.Do(t, u.cmd.Process.Signal(os.Interrupt))
	if err := u.cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}
}

// TestUI_Refused: what can't be shown, or could be seen by others, is not served.
func TestUI_Refused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, listen := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "[::]:0", "example.com:0"} {
		s.expect(control.ExitUsage, []string{"--listen", listen, "127.0.0.1:0"}, "ui", "--listen", listen)
	}
	s.expect(control.ExitNotFound, []string{"no gracex app found"}, "ui")
}
