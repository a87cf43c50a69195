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
