package grpcx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"github.com/gracex-go/gracex/core"
)

// handshakeWait is how long connections that are not set up yet hold up the goodbye of the others, or a quarter
// of the drain, if that is less. It is as long as core waits for the answer to its GOAWAY.
const handshakeWait = 5 * time.Second

// shared is what the listeners of a grpc.Server have in common. The zero shared has none.
type shared struct {
	accepts sync.WaitGroup // listeners from which connections come, or that have some whose handshake is under way
	health  atomic.Pointer[health.Server]
	follow  sync.Once
}

// servers has the *shared of each *grpc.Server.
var servers sync.Map

func sharedOf(srv *grpc.Server) *shared {
	s, _ := servers.LoadOrStore(srv, new(shared))
	return s.(*shared)
}

// server is one srv.Serve.
type server struct {
	u     *core.Upgrader
	srv   *grpc.Server
	all   *shared
	ln    *listener
	ended chan struct{} // closed when no handler runs any more
	broke atomic.Pointer[error]
}

func attach(u *core.Upgrader, srv *grpc.Server, ln net.Listener) (*server, error) {
	if _, ok := ln.(syscall.Conn); ok { // else it wraps one
		own, err := u.AddListener(ln)
		if errors.Is(err, core.ErrStopped) {
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("gracex: serve %s: %w", ln.Addr(), err)
		}
		ln = u.HTTP2Listener(own, serveProbe)
	}
	s := &server{u: u, srv: srv, all: sharedOf(srv), ended: make(chan struct{})}
	s.ln = newListener(ln, s.stopped)
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.note(srv.Serve(s.ln))
	}()
	select {
	case <-s.ln.accepts:
	case <-served:
		s.broke.CompareAndSwap(nil, &grpc.ErrServerStopped) // in this moment
		return nil, s.failure()
	}
	if h := s.all.health.Load(); h != nil {
		s.all.follow.Do(func() { go follow(u, h) })
	}
	s.all.accepts.Add(1)
	leave, over := newLeave()
	go func() {
		defer close(s.ended)
		defer over()
		defer servers.Delete(srv)
		s.drain(u.Draining(), served, leave)
	}()
	return s, nil
}

// drain lets clients go. GracefulStop can't be undone, so it waits for the moment from which on no way leads back to
// this listener: core closes it. Until then, on the probation of a new process too, nobody is told anything.
func (s *server) drain(draining, served <-chan struct{}, leave func()) {
	<-draining
	<-served // there is no connection that is not counted
	wait := handshakeWait
	if deadline, ok := s.u.Deadline(); ok {
		left := time.Until(deadline)
		wait = min(wait, left/4)
		defer time.AfterFunc(left*9/10, leave).Stop()
	}
	s.ln.awaitHandshakes(wait)
	s.all.accepts.Done()
	s.all.accepts.Wait() // GracefulStop closes what the others accept
	s.srv.GracefulStop()
}

// stopped is called when the program has stopped srv itself.
func (s *server) stopped() {
	if s.u.State() < core.StateDraining && s.ln.begun() {
		go func() { _ = s.u.Stop(context.Background()) }() // run has its result
	}
}

// note keeps why srv does not serve any more, unless that is as it should be.
func (s *server) note(err error) {
	if err == nil || errors.Is(err, net.ErrClosed) && s.u.State() >= core.StateDraining {
		return
	}
	s.broke.Store(&err)
	s.stopped()
}

// failure is what note has kept.
func (s *server) failure() error {
	if err := s.broke.Load(); err != nil {
		return fmt.Errorf("gracex: serve %s: %w", s.ln.Addr(), *err)
	}
	return nil
}
