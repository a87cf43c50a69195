package control

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestUpgrade_AsksAgainWhereNobodyAnswered: a process that ends can have the connection of a client in its queue. Nothing
// was begun then. Once an answer has begun, it is not known what was.
func TestUpgrade_AsksAgainWhereNobodyAnswered(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		begun bool
		asked int32
	}{
		"before the answer": {false, 2},
		"in the answer":     {true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := must.Get(os.MkdirTemp("", "gx"))(t) // short enough for a socket's path
			t.Cleanup(func() { os.RemoveAll(dir) })
			path := filepath.Join(dir, "ctl.sock")
			var asked atomic.Int32
			answer := says(Protocol, http.StatusOK, map[string]Outcome{"outcome": {OK: true, Kind: "upgraded", NewPID: 7}})
			play(t, path, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) > 1 {
					answer(w, r)
					return
				}
				rc := http.NewResponseController(w)
				if tt.begun {
					w.Header().Set(HeaderProtocol, "1")
					must.Do(t, rc.Flush())
				}
				nc, _, err := rc.Hijack()
				must.Do(t, err)
				must.Do(t, nc.Close())
			})
			o, err := Dial(path).Upgrade(t.Context(), UpgradeOptions{})
			if asked.Load() != tt.asked || (err == nil) == tt.begun || err == nil && o.NewPID != 7 {
				t.Errorf("asked %d times: %+v, %v", asked.Load(), o, err)
			}
			if errors.Is(err, errHungUp) {
				t.Errorf("it was heard: %v", err)
			}
		})
	}
}

// TestStatus_AsksAgainWhereNobodyAnswered, as a process that is bad on probation ends while it is asked. A program that
// always hangs up is no app.
func TestStatus_AsksAgainWhereNobodyAnswered(t *testing.T) {
	t.Parallel()
	for name, hangsUp := range map[string]int32{"once": 1, "always": 1 << 30} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := must.Get(os.MkdirTemp("", "gx"))(t) // short enough for a socket's path
			t.Cleanup(func() { os.RemoveAll(dir) })
			path := filepath.Join(dir, "ctl.sock")
			var asked atomic.Int32
			answer := says(Protocol, http.StatusOK, Status{Protocol: Protocol, PID: 7})
			play(t, path, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) > hangsUp {
					answer(w, r)
					return
				}
				nc, _, err := http.NewResponseController(w).Hijack()
				must.Do(t, err)
				must.Do(t, nc.Close())
			})
			s, err := Dial(path).Status(t.Context())
			if hangsUp == 1 && (err != nil || s.PID != 7) || hangsUp > 1 && !errors.Is(err, ErrForeign) {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}
