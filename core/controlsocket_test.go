package core

import (
	"net"
	"net/http"
	"testing"
	"testing/synctest"
)

// TestControlSocket_FinishWaitsOnlyAWhile for a client that never takes its answer.
func TestControlSocket_FinishWaitsOnlyAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(*testing.T) {
		s := &controlSocket{server: new(http.Server), active: make(map[net.Conn]bool)}
		c, _ := net.Pipe()
		s.onConnState(c, http.StateActive)
		s.finish()
	})
}
