//go:build unix

package ginx_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/ginx"
)

// readinessProgram asks itself in every state that it can't be asked in from
// outside, and logs what it says.
func readinessProgram(log *slog.Logger, opts []core.Option, args []string) error {
	r := app(log)
	say := func(when string) {
		status, state := ask(r, http.MethodGet, ginx.DefaultReadyPath)
		log.Info("state", "error", when, "status", status, "state", state, "generation", core.Generation())
	}
	say("before")
	err := ginx.Run(r, args[0], append(opts,
		core.WithConnectionHandoff(false), // the connections that ask stay
		core.WithReadyCheck(func(context.Context) error { say("check"); return nil }),
		core.OnPreFork(func(context.Context) error { say("fork"); return nil }),
	)...)
	say("after")
	return err
}

func TestReadinessThroughAnUpgrade(t *testing.T) {
	t.Parallel()
	s := start(t, "readiness", []string{"127.0.0.1:0"})
	url := "http://" + s.address
	said := func(when string, generation, status int, state string) {
		t.Helper()
		e := s.await("to ask itself "+when, func(e event) bool {
			return e.Msg == "state" && e.Error == when && e.Generation == generation
		})
		if e.Status != status || e.State != state {
			t.Errorf("generation %d, %s: %d %s, want %d %s", generation, when, e.Status, e.State, status, state)
		}
	}
	// Two connections to generation 0: one is kept busy over the upgrade, the
	// other asks before and after it.
	busy, probe := client(func(*http.Transport) {})(s.address), client(func(*http.Transport) {})(s.address)
	probed := func(path string, status int, state string, closes bool) {
		t.Helper()
		resp, err := probe.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		var body struct{ State string }
		if err := json.Unmarshal([]byte(drain(t, resp)), &body); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status || body.State != state || resp.Close != closes {
			t.Errorf("%s: %s, %q, closes: %t; want %d, %q, %t", path, resp.Status, body.State, resp.Close, status, state, closes)
		}
	}

	said("before", 0, 503, "none")
	said("check", 0, 503, "starting")
	probed("/readyz", 200, "current", false)
	probed("/livez", 200, "current", false)

	// The request ends when the test ends its body.
	body, end := io.Pipe()
	defer end.Close()
	held := make(chan *http.Response, 1)
	go func() { held <- post(t, busy, url+"/", body) }()
	if _, err := io.WriteString(end, "held"); err != nil {
		t.Fatal(err)
	}
	old := s.copy()
	s.upgrade(syscall.SIGUSR2)
	said("fork", 0, 200, "upgrading")
	said("check", 1, 503, "starting")
	// Its connection is still generation 0's, and the next one is not.
	probed("/readyz", 503, "draining", true)
	probed("/readyz", 200, "current", false)
	end.Close()
	expect(t, old, <-held, "HTTP/1.1", "held")
	busy.CloseIdleConnections()
	said("after", 0, 503, "stopped")
	probe.CloseIdleConnections()
	s.stop()
	said("after", 1, 503, "stopped")
}

// The new generation says ready from its first connection on: what a check on a
// new connection may meet in an upgrade is a connection that the old generation
// accepted last, and nothing else.
func TestReadinessFromTheFirstConnection(t *testing.T) {
	t.Parallel()
	s := start(t, "Run", []string{"127.0.0.1:0"})
	stop := make(chan struct{})
	var probes sync.WaitGroup
	for range 4 {
		probes.Go(func() {
			c := client(func(tr *http.Transport) { tr.DisableKeepAlives = true })(s.address)
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := c.Get("http://" + s.address + "/readyz")
				if err != nil {
					t.Error(err)
					return
				}
				body := drain(t, resp)
				if resp.StatusCode != http.StatusOK && body != `{"state":"draining"}` {
					t.Errorf("%s %s", resp.Status, body)
				}
			}
		})
	}
	for range 10 {
		s.upgrade(syscall.SIGUSR2)
	}
	close(stop)
	probes.Wait()
	s.stop()
}
