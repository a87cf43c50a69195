//go:build unix

package core

import (
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// TestReady_WaitsForTheOldProcess: between ready and commit the new process accepts nothing and the pid file
// is the old one's; what happens then decides.
func TestReady_WaitsForTheOldProcess(t *testing.T) {
	t.Parallel()
	commit := word{wire.Commit, wire.CommitMsg{DrainMillis: 1000}}
	abort := func(stop bool) word {
		return word{wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because("too late"), Stop: stop}}
	}
	for name, tt := range map[string]struct {
		says  []word
		hangs bool  // up, then
		want  error // of Ready; nil: this process is current
	}{
		"commit":                      {says: []word{commit}},
		"commit, then gone":           {says: []word{commit}, hangs: true},
		"gone":                        {hangs: true},
		"abort":                       {says: []word{abort(false)}, want: ErrAborted},
		"abort for a stop, then gone": {[]word{abort(true)}, true, ErrAborted},
	} {
		t.Run(name, func(t *testing.T) {
			pidFile, expectKept := otherPIDFile(t)
			u, old := playOld(t, WithPIDFile(pidFile))
			addr := u.AttachTest(t, notFound())
			ready := old.hearsReady(u)
			expectKept()
			u.expectState(t, StateStarting)
			expectEqual(t, "it accepts before the handover", isClosed(u.phase.accepting), false)
			go func() { // a failed Ready says so; nobody needs to hear
				old.saysAtOnce(tt.says...)
				if tt.hangs {
					old.ctl.Close()
				}
				_, _ = io.Copy(io.Discard, old.ctl)
			}()
			expectError(t, <-ready, tt.want)
			if tt.want != nil {
				awaitClosed(t, u.Done())
				expectKept()
				return
			}
			pid, err := pidfile.Read(pidFile)
			must(t, err)
			expectEqual(t, "the pid file after the handover", pid, os.Getpid())
			expectServes(t, addr)
		})
	}
}

// TestServeListener_IsRefusedAfterAFailure: a new process that has failed serves no more, and does not keep
// the listener that it was given.
func TestServeListener_IsRefusedAfterAFailure(t *testing.T) {
	t.Parallel()
	u, o := playOld(t)
	o.says(wire.Abort, wire.Because("too late"))
	expectError(t, u.Ready(), ErrAborted)
	<-u.Done()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	expectError(t, ServeListener(&http.Server{}, ln), ErrAborted)
	expectError(t, ln.(*net.TCPListener).SetDeadline(time.Now()), net.ErrClosed)
}
