package conns

import (
	"net"
	"net/http"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// TestMover_CutOff: of a new process from which nothing more can come, a connection is that it has marked, on probation too:
// else both would read from it. Over TLS one mark says that it is about to answer, and nobody may encrypt; with the second
// one it has answered. Any other connection stays.
func TestMover_CutOff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		tls, lives bool
		marks      int
		moves      bool
	}{
		{"taken", false, true, 1, true},
		{"not taken", false, true, 0, false},
		{"TLS taken", true, true, 2, true},
		{"TLS perhaps taken", true, true, 1, true},
		{"TLS not taken", true, true, 0, false},
		{"TLS taken by one that has ended", true, false, 2, true},
		{"TLS not taken by one that has ended", true, false, 1, false},
	} {
		for phase, final := range map[string]bool{"late": true, "on probation": false} {
			t.Run(tt.name+", "+phase, func(t *testing.T) {
				t.Parallel()
				m, h := newPlayedNext(t, 10)
				m.final.Store(final)
				_, server := pair(t)
				o := &offer{Conn: wire.Conn{Name: "x"}}
				if tt.tls {
					o.secret, o.TLS = make([]byte, 3), 3
				}
				answer := make(chan error, 1)
				go func() { answer <- m.offer(server.(*net.TCPConn).SyscallConn, o) }()
				h.gets()
				for range tt.marks {
					(&Conn{Conn: server}).NoteTaken()
				}
				if !tt.lives {
					h.ends()
				}
				must.Do(t, h.ctl.Close())
				if err := <-answer; (err == nil) != tt.moves {
					t.Errorf("the answer is %v", err)
				}
			})
		}
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
