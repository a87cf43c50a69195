package conns

import (
	"testing"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// TestMoved_CountsEachKind in the clear and over TLS, and the state that goes with it.
func TestMoved_CountsEachKind(t *testing.T) {
	t.Parallel()
	at := &wire.Listener{Network: "tcp", Address: ":0"}
	var got Moved
	for n, c := range []wire.Conn{
		{Listener: at},
		{Listener: at, Name: wire.NameHTTP2, State: make([]byte, 10)},
		{Name: wire.PrefixWebSocket + "1:chat", State: make([]byte, 5)},
		{Name: "mine", State: make([]byte, 1)},
	} {
		for range n + 1 {
			got.note(c)
		}
		c.TLS = 100
		got.note(c)
	}
	want := Moved{
		HTTP1: MovedBoth{1, 1}, HTTP2: MovedBoth{2, 1}, WebSocket: MovedBoth{3, 1}, Other: MovedBoth{4, 1},
		StateBytes: 3*10 + 4*5 + 5*1 + 4*100,
	}
	if got != want || got.Total() != 14 || got.OverHTTP2() != 3 || got.OverTLS() != 4 {
		t.Errorf("%+v, want %+v", got, want)
	}
}
