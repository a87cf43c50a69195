//go:build unix

package spec_test

import (
	"strings"
	"syscall"
	"testing"
)

// A stop with a delay before it: not ready at once, and yet a new connection is
// served. A second signal ends the delay.
func TestPreStopDelay(t *testing.T) {
	t.Parallel()
	eachFramework(t, func(t *testing.T, f framework, m method) {
		s := start(t, f, m, "pre-stop")
		c := m.kind.fresh(s)
		url := m.kind.url(s)
		checkHealth(t, c, url+"/readyz", 200, "current")
		s.signal(syscall.SIGTERM)
		s.await("to be not ready", func(e event) bool { return strings.HasPrefix(e.Msg, "not ready any more") })
		checkHealth(t, c, url+"/readyz", 503, "stopping")
		checkHealth(t, c, url+"/livez", 200, "stopping")
		expect(t, s, post(t, c, url+"/", strings.NewReader("served")), m.kind.proto, "served")
		s.stop()
	})
}

// The delay ends by itself too.
func TestPreStopDelayEnds(t *testing.T) {
	t.Parallel()
	f := frameworks[0]
	s := start(t, f, f.methods[0], "short pre-stop")
	s.stop()
}
