//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestErrorEndsWithStatus1(t *testing.T) {
	t.Parallel()
	exampletest.ErrorEndsWithStatus1(t, "sse")
}

const writers = 3

// reader has a stream, and checks that the events of each writer come once and in order.
type reader struct {
	*source
	next [writers]atomic.Int64 // as far as they have come
}

func startReader(ctx context.Context, t *testing.T, group *sync.WaitGroup, addr string) *reader {
	t.Helper()
	r := &reader{}
	r.source = newSource(t, addr, func(data string) error {
		var writer, n int
		if _, err := fmt.Sscanf(data, "writer %d event %d", &writer, &n); err != nil {
			return fmt.Errorf("%q: %w", data, err)
		}
		if want := r.next[writer].Add(1) - 1; int64(n) != want {
			return fmt.Errorf("event %d of writer %d comes instead of %d", n, writer, want)
		}
		return nil
	})
	group.Go(func() {
		if err := r.run(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

// post makes an event, in a request that is not sent twice.
func post(addr, data string) error {
	a, err := load.Ask(load.Config{Addr: addr, Method: http.MethodPost, Path: "/events", Timeout: exampletest.Patience}, data)
	if err == nil && a.Status != http.StatusNoContent {
		err = fmt.Errorf("%q: %d %s", data, a.Status, a.Body)
	}
	return err
}

// write posts events until stop is closed.
func write(t *testing.T, group *sync.WaitGroup, stop <-chan struct{}, addr string) (posted *[writers]atomic.Int64) {
	posted = new([writers]atomic.Int64)
	for writer := range posted {
		exampletest.Repeat(t, group, stop, func() error {
			n := posted[writer].Add(1) - 1
			time.Sleep(5 * time.Millisecond) // or the test would be about the file
			return post(addr, fmt.Sprintf("writer %d event %d", writer, n))
		})
	}
	return posted
}

// TestUpgrades: a stream ends in an answer that is whole, is there again soon, over the same connection, and has every
// event once and in order.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t, "-events", filepath.Join(t.TempDir(), "events"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reading, writing sync.WaitGroup
	var readers []*reader
	for range 8 {
		readers = append(readers, startReader(ctx, t, &reading, p.Addr))
	}
	stop := make(chan struct{})
	posted := write(t, &writing, stop, p.Addr)
	const upgrades = 4
	for n := range upgrades + 1 {
		if n > 0 {
			p.Upgrade(syscall.SIGUSR2)
		}
		for _, r := range readers {
			p.Await("the client has the next stream", func() bool { return r.streams.Load() > int64(n) || t.Failed() })
			had := r.next[0].Load()
			p.Await("events come on it", func() bool { return r.next[0].Load() > had || t.Failed() })
		}
	}
	close(stop)
	writing.Wait()
	for i, r := range readers {
		for writer := range posted {
			p.Await("the client has all events", func() bool { return r.next[writer].Load() == posted[writer].Load() || t.Failed() })
		}
		if r.streams.Load() != upgrades+1 || r.missed.Load() != 0 || r.dials.Load() != 1 {
			t.Errorf("client %d: %d streams in %d upgrades, %d not answered, over %d connections",
				i, r.streams.Load(), upgrades, r.missed.Load(), r.dials.Load())
		}
	}
	t.Logf("%d, %d and %d events for each client", posted[0].Load(), posted[1].Load(), posted[2].Load())

	p.Stop()
	if t.Failed() {
		return // a client has given up
	}
	retries := make(map[time.Duration]bool)
	for i, r := range readers {
		for n := range upgrades + 1 {
			e := <-r.ends
			if stop := n == upgrades; e.err != nil || stop != (e.retry == usualRetry) {
				t.Errorf("client %d: stream %d has ended with %v, to come back after %v", i, n, e.err, e.retry)
			}
			retries[e.retry] = true
		}
	}
	if len(retries) < 3 {
		t.Errorf("all come back at the same time: %v", retries)
	}
	cancel()
	reading.Wait()
}

// TestCrash: the client of a process that is killed goes on where it was, in the one that serves again.
func TestCrash(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t, "-events", filepath.Join(t.TempDir(), "events"), "-probation", "1h")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reading sync.WaitGroup
	old := p.PID()
	p.Upgrade(syscall.SIGUSR2)
	r := startReader(ctx, t, &reading, p.Addr)
	must.Do(t, post(p.Addr, "writer 0 event 0"))
	p.Await("the event", func() bool { return r.next[0].Load() == 1 || t.Failed() })
	bad := p.PID()
	p.Signal(syscall.SIGKILL)
	p.Await("the old process serves again", func() bool { return p.PID() == old })
	if bad == old {
		t.Fatal("there was no upgrade")
	}
	must.Do(t, post(p.Addr, "writer 0 event 1"))
	p.Await("the other event", func() bool { return r.next[0].Load() == 2 || t.Failed() })
	if e := <-r.ends; e.err == nil || r.streams.Load() != 2 {
		t.Errorf("%d streams, and the first has ended with %v", r.streams.Load(), e.err)
	}
	cancel()
	reading.Wait()
	p.Stop()
}

// TestPlaces: a client whose id is nobody's begins at the beginning, and what is no event is not taken.
func TestPlaces(t *testing.T) {
	t.Parallel()
	e := must.Get(openEvents(filepath.Join(t.TempDir(), "events")))(t)
	for _, data := range []string{"one", "two"} {
		must.Do(t, e.add([]byte(data)))
	}
	for _, data := range []string{"", "two\nlines", "two\rlines"} {
		if err := e.add([]byte(data)); err == nil {
			t.Errorf("%q was taken", data)
		}
	}
	must.Get(e.file.WriteString("half"))(t)
	for id, want := range map[string]string{
		"": "one two", "0": "one two", "-1": "one two", "x": "one two", "3": "one two", "99": "one two",
		"4": "two", "8": "",
	} {
		var got []string
		for ev := range e.after(e.place(id), make([]byte, maxEvent)) {
			got = append(got, string(ev.data))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("behind %q there is %q, want %q", id, got, want)
		}
	}
}
