package core

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// TestAskToLeave_IsInAnswersOfADrain except a WebSocket's. In HTTP/2 net/http makes GOAWAY of it, for connections
// that Shutdown can't reach, too.
func TestAskToLeave_IsInAnswersOfADrain(t *testing.T) {
	t.Parallel()
	u := &Upgrader{conns: conns.NewTable(nil), phase: newPhase()}
	s := &server{u: u, handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	for _, draining := range []bool{false, true} {
		u.phase.asksToLeave.Store(draining)
		for upgrade, want := range map[string]bool{"": true, "h2c": true, "websocket": false} {
			for _, major := range []int{1, 2} {
				for _, known := range []bool{true, false} { // false: the program's ConnContext threw the value away
					r := httptest.NewRequest(http.MethodGet, "/", nil)
					r.ProtoMajor = major
					if upgrade != "" {
						r.Header.Set("Upgrade", upgrade)
					}
					if known {
						c := u.conns.Track(struct{ net.Conn }{}, nil, conns.New)
						r = r.WithContext(context.WithValue(r.Context(), connKey{}, c))
					}
					w := httptest.NewRecorder()
					s.ServeHTTP(w, r)
					if got := w.Header().Get("Connection") == "close"; got != (want && draining) {
						t.Errorf("draining %v, HTTP/%d, Upgrade %q: close %v", draining, major, upgrade, got)
					}
				}
			}
		}
	}
}

// TestAskToLeave_ComesAfterTheListenersAreClosed: until then nobody is asked to come back, neither by an answer nor
// by the channel of Draining.
func TestAskToLeave_ComesAfterTheListenersAreClosed(t *testing.T) {
	t.Parallel()
	for _, state := range []State{StateStopping, StateDraining} {
		synctest.Test(t, func(t *testing.T) {
			u := &Upgrader{log: slog.New(slog.DiscardHandler), boot: &startup{}, inherited: &inheritance{}, phase: newPhase()}
			u.conns = conns.NewTable(u.phase.goodbye)
			ln := slowToClose{release: make(chan struct{})}
			l, err := newListener(ln, -1, "tcp", "here")
			must(t, err)
			l.bind(u)
			lc := newLifecycle(u)
			go lc.beginDrain(state)
			synctest.Wait()
			time.Sleep(timing.Close / 2) // past the sweep
			if u.phase.asksToLeave.Load() || isClosed(u.Draining()) {
				t.Errorf("%v: told to leave while the listener is open", state)
			}
			close(ln.release)
			synctest.Wait()
			if !u.phase.asksToLeave.Load() || !isClosed(u.Draining()) {
				t.Errorf("%v: not told to leave once the listener is closed", state)
			}
			<-lc.drained
		})
	}
}

// slowToClose is a listener whose Close waits.
type slowToClose struct {
	net.Listener
	release chan struct{}
}

func (l slowToClose) Close() error {
	<-l.release
	return nil
}

func (l slowToClose) Addr() net.Addr { return &net.TCPAddr{} }
