//go:build unix

package tls13

import (
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestConn_WaitsWithoutABuffer: an idle connection has none, before and after a request.
func TestConn_WaitsWithoutABuffer(t *testing.T) {
	t.Parallel()
	s, c := sockets(t)
	first, client := shake(t, s, c, serverConfig(), clientConfig())
	server := move(t, first, s)
	for range 3 {
		must.Do(t, server.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
		if _, err := server.Read(make([]byte, 1)); !isTimeout(err) || server.in.buf != nil {
			t.Errorf("Read = %v, with a buffer: %v", err, server.in.buf != nil)
		}
		must.Do(t, server.SetReadDeadline(time.Now().Add(patience)))
		say(t, client, server, pattern(20000))
		if server.in.buf != nil {
			t.Error("nothing is left, and it has a buffer")
		}
	}
}
