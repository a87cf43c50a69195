package h2

import (
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestProbeMove pins what moving relies on. With a Go release that fails it HTTP/2 connections stay.
func TestProbeMove(t *testing.T) {
	t.Parallel()
	must.Do(t, ProbeMove())
}
