//go:build unix

package peer

import (
	"bytes"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// TestLink_ListensBeforeItSaysWhereItStands has the supervisor's word come while this process still says that.
func TestLink_ListensBeforeItSaysWhereItStands(t *testing.T) {
	t.Parallel()
	theirs, s, err := fd.Pair()
	must.Do(t, err)
	defer theirs.Close()
	l := must.Get(NewLink(s, 1))(t)
	defer l.Close()
	l.Follow(func(wire.SignalMsg) bool { t.Error("nobody is there who could take it"); return false }, func() {})
	fill(t, l.conn)
	taken := make(chan wire.SignalMsg, 1)
	go l.Join(wire.StandMsg{}, func(msg wire.SignalMsg) bool { taken <- msg; return true }, func() {})
	for l.writing.TryLock() { // until it has begun to say it, and can't
		l.writing.Unlock()
		time.Sleep(time.Millisecond)
	}
	_ = must.Get(theirs.Write(must.Get(wire.Append(nil, wire.Signal, wire.SignalMsg{ID: 7}))(t)))(t)
	select {
	case msg := <-taken:
		if msg.ID != 7 {
			t.Errorf("%+v has come", msg)
		}
	case <-time.After(10 * timing.Say):
		t.Error("the word was not taken")
	}
}

// fill writes until nothing more goes into a connection.
func fill(t *testing.T, c *net.UnixConn) {
	t.Helper()
	junk := bytes.Repeat([]byte("x"), 1<<10)
	rc := must.Get(c.SyscallConn())(t)
	must.Do(t, rc.Write(func(s uintptr) bool {
		for {
			if _, err := syscall.Write(int(s), junk); err != nil {
				return true
			}
		}
	}))
	for b := junk[:1]; ; {
		full := false
		must.Do(t, rc.Write(func(s uintptr) bool {
			_, err := syscall.Write(int(s), b)
			full = err != nil
			return true
		}))
		if full {
			return
		}
	}
}
