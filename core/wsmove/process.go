package wsmove

import (
	"context"
	"net"

	"github.com/gracex-go/gracex/core"
)

// process is what package core knows of this process. A test plays two of them in one.
type process struct {
	draining func() <-chan struct{} // of the drain that is under way or comes next; nil if there will be none
	stopping func() bool
	handoff  func(c net.Conn, name string, state []byte) error
	context  func(c net.Conn) context.Context // of the requests on a connection that was adopted
}

var thisProcess = process{
	draining: func() <-chan struct{} { return core.Draining(context.Background()) },
	stopping: func() bool { return core.Status().State >= core.StateStopping },
	handoff:  core.Handoff,
	context:  core.HandoffContext,
}
