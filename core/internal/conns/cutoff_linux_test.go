package conns

import (
	"net"
	"net/http"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// TestMover_CutOff: of a new process that lives, and from which nothing more can come, a connection is that it has marked, on
// probation too: else both would read from it. Any other one stays. Over TLS it must not be encrypted on here if it has a mark,
// or can get one.
func TestMover_CutOff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name               string
		tls, lives, marked bool
		stays              bool
	}{
		{"taken", false, true, true, false},
		{"not taken", false, true, false, true},
		{"taken by one that has ended", false, false, true, true},
		{"not taken by one that has ended", false, false, false, true},
		{"TLS taken", true, true, true, false},
		{"TLS not taken yet", true, true, false, false},
		{"TLS taken by one that has ended", true, false, true, false},
		{"TLS not taken by one that has ended", true, false, false, true},
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
				if tt.marked {
					NoteTaken(server)
				}
				if !tt.lives {
					h.ends()
				}
				must.Do(t, h.ctl.Close())
				if err := <-answer; (err != nil) != tt.stays {
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
