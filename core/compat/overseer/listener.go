package overseer

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// keepAlive is what overseer sets accepted connections to.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 3 * time.Minute, Interval: 3 * time.Minute}

// listener is one of State.Listeners.
type listener struct {
	net.Listener
	p         *process
	accepting func() // closes accepts
	accepts   chan struct{}
	shut      func() // closes closed
	closed    chan struct{}
}

func (p *process) newListener(ln net.Listener) *listener {
	l := &listener{Listener: ln, p: p, accepts: make(chan struct{}), closed: make(chan struct{})}
	l.accepting = sync.OnceFunc(func() { close(l.accepts) })
	l.shut = sync.OnceFunc(func() { close(l.closed) })
	return l
}

// Accept waits until this process is ready. When it drains, GracefulShutdown is closed, and Accept returns an error when
// the connections have ended or the program closes the listener. So http.Serve returns when all is done, as it does with
// overseer's listener. That one waits in Close, which http.Server.Shutdown calls with a lock held.
func (l *listener) Accept() (net.Conn, error) {
	l.accepting()
	c, err := l.Listener.Accept()
	if errors.Is(err, net.ErrClosed) && !isClosed(l.closed) {
		l.p.drained(l.closed)
	}
	return c, err
}

// Close closes the listener.
func (l *listener) Close() error {
	l.shut()
	return l.Listener.Close()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Serve is http.Serve for one of State.Listeners, and returns nil when this process has drained. Connections that are
// kept alive do not end with this process: they go to the next one. Package overseer does not have it.
func Serve(l net.Listener, handler http.Handler) error {
	return ServeServer(&http.Server{Handler: handler}, l)
}

// ServeServer is Serve for a server of the program's own, in place of srv.Serve(l).
func ServeServer(srv *http.Server, l net.Listener) error {
	own, ok := l.(*listener)
	if !ok {
		return errors.New("overseer: Serve needs one of State.Listeners, as it is")
	}
	if err := own.p.u.Attach(srv, own.Listener); err != nil {
		return err
	}
	own.accepting()
	own.p.drained(own.closed)
	return nil
}
