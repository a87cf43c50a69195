package conns

import (
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// TestMover_CutOff: of a new process that lives, and from which nothing more can come, a connection is that it has
// marked. Any other one stays.
func TestMover_CutOff(t *testing.T) {
	t.Parallel()
	for name, taken := range map[string]bool{"taken": true, "not taken": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, h := newPlayedNext(t, 10)
			_, server := pair(t)
			answer := make(chan error, 1)
			go func() { answer <- m.Move(server.(*net.TCPConn), wire.Conn{Name: "x"}) }()
			h.gets()
			if taken {
				(&Conn{Conn: server}).NoteTaken()
			}
			must.Do(t, h.ctl.Close())
			if err := <-answer; taken && err != nil || !taken && !errors.Is(err, peer.ErrCut) {
				t.Errorf("Move = %v", err)
			}
		})
	}
}

// TestNoteTaken_IsNotedForEachThatIsTaken: parked or not.
func TestNoteTaken_IsNotedForEachThatIsTaken(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	_, server := pair(t)
	rc := must.Get(server.(*net.TCPConn).SyscallConn())(t)
	var s, before int
	must.Do(t, rc.Control(func(own uintptr) {
		s = must.Get(fd.DupOf(int(own)))(t)
		before = fd.MarkOf(int(own))
	}))
	l.Park(s, l.side, wire.Conn{}, nil, nil)(true)
	must.Do(t, rc.Control(func(own uintptr) {
		if fd.MarkOf(int(own)) == before {
			t.Error("it is not marked")
		}
	}))
}
