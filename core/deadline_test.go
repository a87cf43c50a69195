package core_test

import (
	"net"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

// TestDeadline: whoever sees that this process drains can look when it is cut.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for name, timeout := range map[string]time.Duration{"a limit": time.Hour, "none": 0} {
		t.Run(name, func(t *testing.T) {
			u := core.NewTest(t, core.WithDrainTimeout(timeout))
			ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, err)
			must(t, u.Ready())
			c, err := net.Dial("tcp", ln.Addr().String())
			must(t, err)
			defer c.Close()
			open, err := ln.Accept()
			must(t, err)
			if at, ok := u.Deadline(); ok {
				t.Errorf("before the drain it is %v", at)
			}
			began := time.Now().Truncate(time.Millisecond)
			stopped := make(chan error)
			go func() { stopped <- u.Stop(t.Context()) }()
			<-u.Draining()
			at, ok := u.Deadline()
			if ok != (timeout > 0) || ok && (at.Before(began.Add(timeout)) || at.After(time.Now().Add(timeout))) {
				t.Errorf("the drain that began after %v is cut at %v, %t", began, at, ok)
			}
			open.Close()
			must(t, <-stopped)
		})
	}
}
