package systemd

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// listener reads the shop's stream of events, and comes back when that says goodbye, as a browser's EventSource does.
type listener struct {
	t       *testing.T
	leaving atomic.Bool // the next goodbye is the last one
	done    sync.WaitGroup
	streams []string // the process of each
	orders  int      // as the last event had it
	err     error
}

// listen opens the first stream.
func listen(t *testing.T, addr string) *listener {
	l := &listener{t: t}
	l.done.Go(func() {
		for over := false; !over && l.err == nil; {
			over, l.err = l.stream(addr)
		}
	})
	return l
}

// leave makes the next goodbye the last one.
func (l *listener) leave() { l.leaving.Store(true) }

// stream reads one stream to its end, which has to be a goodbye.
func (l *listener) stream(addr string) (over bool, err error) {
	req := must.Get(http.NewRequest(http.MethodGet, "http://"+addr+"/events", nil))(l.t)
	resp, err := load.NewTransport(load.Config{Addr: addr, Fresh: 1, Timeout: proctest.Patience}).RoundTrip(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	l.streams = append(l.streams, resp.Header.Get("X-Pid"))
	goodbye := false
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), ":"); {
		case name == "event":
			goodbye = value == "goodbye"
		case name == "data" && !goodbye:
			n, err := strconv.Atoi(value)
			if err != nil || n < l.orders {
				return false, fmt.Errorf("%d orders, and then the event %q", l.orders, value)
			}
			l.orders = n
		}
	}
	if err := lines.Err(); err != nil {
		return false, err
	}
	if !goodbye {
		return false, fmt.Errorf("the stream of process %s has ended without a goodbye", resp.Header.Get("X-Pid"))
	}
	return l.leaving.Load(), nil
}

// check waits for the last goodbye, and checks that there was a stream of each of the processes, and no other.
func (l *listener) check(processes int) {
	l.t.Helper()
	l.done.Wait()
	if l.err != nil {
		l.t.Errorf("after %d streams: %v", len(l.streams), l.err)
	}
	pids := map[string]bool{}
	for _, pid := range l.streams {
		pids[pid] = true
	}
	if len(pids) != processes || len(l.streams) != processes {
		l.t.Errorf("%d streams of %d processes, want one of each of %d", len(l.streams), len(pids), processes)
	}
}
