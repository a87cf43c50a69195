package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
)

// fate is what becomes of a deploy.
type fate struct {
	name      string
	behaviour string
	code      int
	dies      bool // the new process ends when it has connections already
}

var fates = []fate{
	{"good", "good", control.ExitOK, false},
	{"panics on probation", "panic", control.ExitRolledBack, true},
	{"signed by another key", "good", exitNotAccepted, false},
	{"exits", "exit", control.ExitFailed, false},
	{"good", "good", control.ExitOK, false},
	{"truncated", "good", exitNotTried, false},
	{"late", "late", control.ExitTimedOut, false},
}

// span is a time in which a process died.
type span struct{ from, to time.Time }

// noticed is what the clients have seen of deploys: requests that failed, and connections that were opened anew.
type noticed struct {
	mu     sync.Mutex
	all    []load.Sample
	dialed map[int]bool
}

func (n *noticed) observe(s load.Sample) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.Err != nil || s.Dialed && n.dialed[s.Client] {
		n.all = append(n.all, s)
	}
	n.dialed[s.Client] = n.dialed[s.Client] || s.Dialed
}

// outside returns what was noticed when no process died.
func (n *noticed) outside(deaths []span) (all []load.Sample) {
	n.mu.Lock()
	defer n.mu.Unlock()
	within := func(s load.Sample) bool {
		for _, d := range deaths {
			// Who lost a connection opens another one with the next request.
			if s.Start.Before(d.to.Add(time.Second)) && s.Start.Add(s.Latency).After(d.from) {
				return true
			}
		}
		return false
	}
	for _, s := range n.all {
		if !within(s) {
			all = append(all, s)
		}
	}
	return all
}

// TestDeploys_UnderLoad: clients with kept connections notice no deploy, whatever becomes of it, but for the connections
// of a process that died. "make deploys-mixed" has 20.
func TestDeploys_UnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what starts services for many seconds")
	}
	t.Parallel()
	n := 3
	if s := os.Getenv("GRACEX_DEPLOYS_MIXED"); s != "" {
		n = must.Get(strconv.Atoi(s))(t)
	}
	s := newStore(t)
	s.supervise(s.path("srv/current/shop"), "-ready", "4s")
	ours, theirs := s.publisher("ours"), s.publisher("theirs")
	truncates := false
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if truncates && strings.Contains(r.URL.Path, "shop_") {
			b := must.Get(os.ReadFile(filepath.Join(ours.dir, r.URL.Path)))(t)
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			_, _ = w.Write(b[:len(b)/2])
			return
		}
		http.FileServer(http.Dir(ours.dir)).ServeHTTP(w, r)
	}))
	defer origin.Close()

	seen := noticed{dialed: map[int]bool{}}
	run := load.Start(load.Config{Addr: s.addr, Clients: 8, Think: 5 * time.Millisecond, Observe: seen.observe})
	var deaths []span
	serves := "1"
	for i := range n {
		f := fates[i%len(fates)]
		number := 10 + i
		ours.publish(fmt.Sprintf("1.%d.0", number), f.behaviour, number)
		truncates = f.name == "truncated"
		key := ours.key
		if f.name == "signed by another key" {
			key = theirs.key
		}
		d := span{from: time.Now()}
		before := run.Snapshot()
		s.expect(f.code, nil, "deploy", origin.URL, "--key", key)
		if d.to = time.Now(); f.dies {
			deaths = append(deaths, d)
		}
		if f.code == control.ExitOK {
			serves = strconv.Itoa(number)
		}
		if got := s.serves(); got != serves {
			t.Errorf("%s: build %s serves, want %s", f.name, got, serves)
		}
		if after := run.Snapshot(); after.Requests == before.Requests {
			t.Errorf("%s: there was no load", f.name)
		}
	}
	r := run.Stop()
	t.Logf("%d deploys: %v", n, r)
	for _, sample := range seen.outside(deaths) {
		t.Errorf("noticed: %+v", sample)
	}
	if r.Requests == r.Failed {
		t.Errorf("%v", r)
	}
}
