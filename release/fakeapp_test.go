//go:build linux

package release

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
)

// fakeApp is an app that runs nothing: it knows which release it would have been started from. Another process reaches
// it by a socket, and an upgrade goes on when that process is killed, as it does in an app.
type fakeApp struct {
	mu    sync.Mutex
	runs  string // empty: nothing runs
	busy  bool
	life  int // of how many processes it was
	asked []string
	does  func(release string) control.Outcome // nil: every release is good
	lost  bool                                 // the process that is asked ends without an outcome
	after time.Duration                        // between two steps
}

func (f *fakeApp) status(context.Context) (appStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runs == "" {
		return appStatus{}, control.ErrNotFound
	}
	return appStatus{pid: 4711, release: f.runs, settling: f.busy}, nil
}

func (f *fakeApp) upgradeTo(_ context.Context, release string, events func(control.Event)) (control.Outcome, error) {
	f.mu.Lock()
	o := control.Outcome{OK: true, Kind: control.KindUpgraded, OldPID: 4711, NewPID: 4712}
	if f.does != nil {
		o = f.does(release)
	}
	f.asked = append(f.asked, release)
	f.busy = true
	life := f.life
	f.mu.Unlock()
	steps := []string{control.StepStarted, control.StepReady, control.StepProbation, control.StepConfirmed}
	switch o.Kind {
	case control.KindRolledBack:
		steps[3] = control.StepRolledBack
	case control.KindRefused:
		steps = []string{control.StepRefused}
	case control.KindFailed, control.KindTimedOut:
		steps = []string{control.StepStarted, control.StepFailed}
	}
	for i, step := range steps {
		time.Sleep(f.after)
		if i == len(steps)-1 {
			f.mu.Lock()
			if f.life != life {
				f.mu.Unlock()
				return control.Outcome{}, errors.New("it was killed")
			}
			if f.busy = false; o.OK {
				f.runs = release
			}
			f.mu.Unlock()
		}
		events(control.Event{Step: step, PID: o.NewPID})
	}
	if f.lost {
		return control.Outcome{}, errors.New("the process that did it is gone")
	}
	return o, nil
}

// set has a release run; empty for none.
func (f *fakeApp) set(release string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs = release
}

// restart kills the app, with the upgrade that is in progress, and starts a release.
func (f *fakeApp) restart(release string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.life++
	f.busy, f.runs = false, release
}

func (f *fakeApp) get() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.runs
}

// bad is an app in which these releases do not pass.
func bad(kind string, ids ...string) *fakeApp {
	return &fakeApp{does: func(release string) control.Outcome {
		for _, id := range ids {
			if id == release {
				o := control.Outcome{Kind: kind, OldPID: 4711, NewPID: 4712, Reason: "it said\x1b[2J no"}
				if kind == control.KindRefused {
					o.NewPID = 0
				}
				return o
			}
		}
		return control.Outcome{OK: true, Kind: control.KindUpgraded, OldPID: 4711, NewPID: 4712}
	}}
}

// word is a line of the socket.
type word struct {
	Status  *appStatusWord   `json:",omitempty"`
	Event   *control.Event   `json:",omitempty"`
	Outcome *control.Outcome `json:",omitempty"`
}

type appStatusWord struct {
	PID      int
	Release  string
	Settling bool
}

// serve lets other processes reach the app.
func (f *fakeApp) serve(t testing.TB) (socket string) {
	socket = filepath.Join(must.Get(os.MkdirTemp("", "app"))(t), "s")
	ln := must.Get(net.Listen("unix", socket))(t)
	t.Cleanup(func() { _ = ln.Close(); _ = os.RemoveAll(filepath.Dir(socket)) })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go f.answer(c)
		}
	}()
	return socket
}

func (f *fakeApp) answer(c net.Conn) {
	defer func() { _ = c.Close() }()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return
	}
	out := json.NewEncoder(c)
	if release, ok := strings.CutPrefix(strings.TrimSpace(line), "upgrade "); ok {
		// On with it, whether or not anybody listens.
		o, _ := f.upgradeTo(context.Background(), release, func(e control.Event) { _ = out.Encode(word{Event: &e}) })
		_ = out.Encode(word{Outcome: &o})
		return
	}
	if st, err := f.status(context.Background()); err == nil {
		_ = out.Encode(word{Status: &appStatusWord{st.pid, st.release, st.settling}})
	}
}

// distantApp is a fakeApp in another process.
type distantApp struct{ socket string }

func (d distantApp) ask(line string, heard func(word)) error {
	c, err := net.Dial("unix", d.socket)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprintln(c, line); err != nil {
		return err
	}
	for in := json.NewDecoder(c); ; {
		var w word
		if err := in.Decode(&w); err != nil {
			return nil
		}
		heard(w)
	}
}

func (d distantApp) status(context.Context) (appStatus, error) {
	err := control.ErrNotFound
	var st appStatus
	if aerr := d.ask("status", func(w word) {
		if w.Status != nil {
			st, err = appStatus{pid: w.Status.PID, release: w.Status.Release, settling: w.Status.Settling}, nil
		}
	}); aerr != nil {
		return st, aerr
	}
	return st, err
}

func (d distantApp) upgradeTo(_ context.Context, release string, events func(control.Event)) (o control.Outcome, err error) {
	err = d.ask("upgrade "+release, func(w word) {
		if w.Event != nil {
			events(*w.Event)
		}
		if w.Outcome != nil {
			o = *w.Outcome
		}
	})
	return o, err
}
