package grpcx

import (
	"context"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"

	"github.com/gracex-go/gracex/core"
)

// handlersWait is how long Serve waits, after the drain, for handlers whose connection is gone. The current process has
// an old one's main end 5 s after its drain.
const handlersWait = 3 * time.Second

// Serve is like net.Listen and srv.Serve. It serves srv on the TCP address addr, which is written as host:port or
// :port. TLS is srv's own: give it grpc.Creds, with the credentials of NewTLS.
//
// Like every function here that takes options it blocks. It returns nil after a clean stop and,
// when the drain has ended, after a handover to the next generation. It returns core.ErrCut if a
// stop has cut what was left. It does not return after a handover in a first process that goes
// on as the supervisor of the service (core.OnEnd). Any other error means that the process did
// not get to serve, or that its listener broke. Several calls, each in a goroutine, share the
// process if they have the same options (core.Run).
func Serve(srv *grpc.Server, addr string, opts ...core.Option) error {
	return run(srv, opts, func(u *core.Upgrader) (net.Listener, error) {
		return u.Listen(context.Background(), "tcp", addr)
	})
}

// ServeUnix is Serve on the unix socket file. The path stays through upgrades and is
// removed after a stop. A socket that a crashed process left behind is replaced. It is an error
// if another process listens on the socket.
func ServeUnix(srv *grpc.Server, file string, opts ...core.Option) error {
	return run(srv, opts, func(u *core.Upgrader) (net.Listener, error) {
		return u.Listen(context.Background(), "unix", file)
	})
}

// ServeListener is like srv.Serve. Make the listener with core.Listen. It can be wrapped. A listener from net.Listen
// serves too, but can't be upgraded.
func ServeListener(srv *grpc.Server, ln net.Listener, opts ...core.Option) error {
	err := run(srv, opts, func(*core.Upgrader) (net.Listener, error) { return ln, nil })
	if !errors.Is(err, core.ErrRunning) { // then it may be the other's
		_ = ln.Close()
	}
	return err
}

// Attach serves srv on a listener of u beside other servers, and returns when srv has begun to. Make the listener with
// u.Listen or core.Listen. It can be wrapped. Call Attach before u.Ready, as in the function of core.Run. It may be called
// for several servers, and for several listeners of one.
//
// srv.GracefulStop and srv.Stop of the program's own mean a graceful stop of the process.
//
// The error is grpc.ErrServerStopped if srv was stopped before, and core.ErrStopped if u was. Then the listener is
// closed.
func Attach(u *core.Upgrader, srv *grpc.Server, ln net.Listener) error {
	_, err := attach(u, srv, ln)
	return err
}

// run serves srv as the only server of this call.
func run(srv *grpc.Server, opts []core.Option, listen func(u *core.Upgrader) (net.Listener, error)) error {
	var s *server
	defer func() { s.awaitHandlers() }() // also where core does not come back
	err := core.Run(func(u *core.Upgrader) error {
		ln, err := listen(u)
		if err != nil {
			return err
		}
		s, err = attach(u, srv, ln)
		return err
	}, opts...)
	if s != nil && s.failure() != nil {
		return s.failure()
	}
	return err
}

// awaitHandlers waits for handlers that go on although their connection is gone: the drain waits for connections.
func (s *server) awaitHandlers() {
	if s == nil {
		return
	}
	select {
	case <-s.ended:
	case <-time.After(handlersWait):
	}
}
