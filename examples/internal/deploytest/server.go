package deploytest

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// Example is the import path of the program that is deployed.
const Example = "github.com/gracex-go/gracex/examples/nethttp"

// Command is the import path of the operator's command.
const Command = "github.com/gracex-go/gracex/cmd/gracex"

// Post posts the body over a connection of its own. It asks once.
func Post(addr, target, body string) (load.Answer, error) {
	a, err := load.Ask(load.Config{Addr: addr, Path: target, Timeout: proctest.Patience}, body)
	return echoed(a, err, body)
}

func echoed(a load.Answer, err error, body string) (load.Answer, error) {
	if err == nil && (a.Status != http.StatusOK || a.Body != body) {
		err = fmt.Errorf("it is no echo: %d %s", a.Status, a.Body)
	}
	return a, err
}

// MustPost is Post where the answer has to be right.
func MustPost(t *testing.T, addr, target, body string) load.Answer {
	t.Helper()
	a := must.Get(Post(addr, target, body))(t)
	return a
}

// Hold has a request under way that takes the duration d. The function it returns waits for the answer.
func Hold(t *testing.T, addr, d string) (answer func() (load.Answer, error)) {
	t.Helper()
	const body = "held"
	wait := must.Get(load.Hold(load.Config{Addr: addr, Path: "/?d=" + d, Timeout: proctest.Patience}, body))(t)
	return func() (load.Answer, error) {
		a, err := wait()
		return echoed(a, err, body)
	}
}

// Load starts clients that keep their connections and others that don't. None retries.
func Load(t *testing.T, addr string) *load.Run {
	run := load.Start(load.Config{Addr: addr, Clients: 8, Fresh: 4, Think: 2 * time.Millisecond, Timeout: proctest.Patience})
	t.Cleanup(func() { run.Stop() })
	return run
}

// AwaitGeneration waits until the generation has answered a client.
func AwaitGeneration(t *testing.T, run *load.Run, generation string) {
	t.Helper()
	proctest.Await(t, "generation "+generation+" serves", func() bool {
		for by := range run.Snapshot().Served {
			if by.Generation == generation {
				return true
			}
		}
		return false
	})
}

// StopLoad checks that no request was lost.
func StopLoad(t *testing.T, run *load.Run) {
	t.Helper()
	r := run.Stop()
	t.Log(r)
	if r.Failed != 0 || r.Requests == 0 {
		t.Errorf("%d of %d requests failed", r.Failed, r.Requests)
	}
}
