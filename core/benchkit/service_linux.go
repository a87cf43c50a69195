package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

const (
	// patience is more than anything takes that is waited for, on a busy machine.
	patience = time.Minute
	// killTime is more than a process takes to end when it is killed.
	killTime = 5 * time.Second
)

// service is a server in all its generations, with the connections that this process has to it.
type service struct {
	*procgroup.Process
	journal *journal
	number  int // of the current generation
	current generation
	open    conns
}

// startService starts a server, and returns when it is current.
func startService(ctx context.Context, complaints io.Writer, path string, args ...string) (*service, error) {
	s := &service{journal: newJournal(complaints)}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = s.journal, s.journal
	// The first process is one that ends: the kit watches it, and it would stay for that (core.EnvMode).
	cmd.Env = append(cmd.Environ(), wire.EnvMode+"=self")
	var err error
	if s.Process, err = procgroup.Start(cmd); err != nil {
		return nil, err
	}
	s.current, err = s.await(ctx, 0, "serve", func(g generation) bool { return !g.current.IsZero() })
	if err != nil {
		return nil, errors.Join(err, s.End(killTime))
	}
	return s, nil
}

// await waits until the log says of the n-th generation what is wanted.
func (s *service) await(ctx context.Context, n int, what string, wanted func(generation) bool) (generation, error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		g, changed := s.journal.look(n)
		if wanted(g) {
			return g, nil
		}
		select {
		case <-changed:
		case <-s.Ended():
			if g, _ := s.journal.look(n); wanted(g) {
				return g, nil
			}
			return g, fmt.Errorf("generation %d does not %s: no server is left", n, what)
		case <-late.C:
			return g, fmt.Errorf("generation %d does not %s within %v", n, what, patience)
		case <-ctx.Done():
			return g, context.Cause(ctx)
		}
	}
}

// upgrade is an upgrade that is under way, or done.
type upgrade struct {
	service *service
	number  int       // of the old generation
	signal  time.Time // when it was asked for
	next    generation
	old     generation // with its end when there was one
	gone    time.Time  // when there was no old process any more
}

// begin asks for an upgrade, and returns when the next generation is current and the old one drains.
func (s *service) begin(ctx context.Context) (u upgrade, err error) {
	u = upgrade{service: s, number: s.number, signal: time.Now()}
	if err = s.Signal(s.current.pid, syscall.SIGUSR2); err != nil {
		return u, err
	}
	u.next, err = s.await(ctx, u.number+1, "serve", func(g generation) bool { return !g.current.IsZero() })
	if err != nil {
		return u, err
	}
	s.number, s.current = u.number+1, u.next
	u.old, err = s.await(ctx, u.number, "drain", func(g generation) bool { return !g.draining.IsZero() })
	return u, err
}

// finish returns when the old process has gone.
func (u *upgrade) finish(ctx context.Context) (err error) {
	u.old, err = u.service.await(ctx, u.number, "end", func(g generation) bool { return !g.ended.IsZero() })
	for late := time.Now().Add(patience); err == nil && u.service.Has(u.old.pid); { // its last moments are not in the log
		if err = pause(ctx, time.Millisecond); err == nil && time.Now().After(late) {
			err = fmt.Errorf("generation %d has said its end, and is there after %v", u.number, patience)
		}
	}
	u.gone = time.Now()
	_ = u.service.Reap()
	return err
}

// upgrade upgrades, and returns when the old process has gone.
func (s *service) upgrade(ctx context.Context) (upgrade, error) {
	u, err := s.begin(ctx)
	if err == nil {
		err = u.finish(ctx)
	}
	return u, err
}

// toCurrent is how long it took from the signal until the next generation was current, in milliseconds.
func (u *upgrade) toCurrent() float64 { return milliseconds(u.next.current.Sub(u.signal)) }

// toEnd is how long the drain of the old process took, in milliseconds.
func (u *upgrade) toEnd() float64 { return milliseconds(u.old.ended.Sub(u.old.draining)) }

// dial opens n connections more, which are closed with the service.
func (s *service) dial(ctx context.Context, n int) (conns, error) {
	more, err := dial(ctx, s.current.address, n)
	s.open = append(s.open, more...)
	return more, err
}

// stop ends the service.
func (s *service) stop() error {
	s.open.close()
	err := s.Signal(s.current.pid, syscall.SIGTERM)
	if err == nil {
		select {
		case <-s.Ended():
		case <-time.After(patience):
			err = fmt.Errorf("the server has not ended within %v of SIGTERM", patience)
		}
	}
	_ = s.Reap()
	return errors.Join(err, s.End(killTime))
}

// pause lets d pass, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
