package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/timing"
)

var (
	// errNoMaster: there is nothing to leave.
	errNoMaster = errors.New("there is nothing to leave: no other program starts the versions of this one, so upgrade it")
	// errMasterFirst: the service is the master's until the probation is over.
	errMasterFirst = because(ErrStopped, errors.New("the master has stopped this process, or has started the next version itself"))
)

// Leave is like Upgrade, for a worker of a foreign master (graceful, overseer, Server::Starter,
// einhorn). The new process does not belong to the master, and upgrades itself from then on. The
// master ends after the new process has passed its probation and this process has drained. If the
// new process is bad, everything stays as it was.
//
// Leave returns ErrUnsupported where the end of the master would end the service. The page
// docs/migration/leaving.md lists these cases.
func (u *Upgrader) Leave(ctx context.Context) (Result, error) {
	return u.requestUpgrade(ctx, true, launchChange{})
}

// underMaster reports why a foreign master keeps this process from starting the next version.
// If it does not, manager is how the service manager is told of it, nil where nothing about that changes.
func (a *attempt) underMaster(ctx context.Context) (manager *sdnotify.Socket, err error) {
	m := a.u.boot.master()
	if m == nil && a.leave {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, errNoMaster)
	}
	if m == nil {
		return nil, nil
	}
	_, _ = m.Process() // before it is asked whether that is the master
	switch {
	case masterGone(m):
		return nil, nil
	case !a.leave:
		return nil, errMastered(m)
	case m.PID == 1:
		return nil, fmt.Errorf("%w: %s is pid 1, and the container ends with it; replace the container by one without it", ErrUnsupported, m.Name)
	}
	if m.Dismiss != nil {
		if err := m.Shown(); err != nil {
			return nil, fmt.Errorf("%w: it can't be told to end when this process has left it: %w", ErrUnsupported, err)
		}
	}
	if path := a.u.passing.foreignPath(); path != "" && m.Unlinks {
		return nil, fmt.Errorf("%w: %s (pid %d) removes %s when it ends, and nobody would find the socket any more; first have the clients use TCP, or stop and start once", ErrUnsupported, m.Name, m.PID, path)
	}
	manager, err = takeService(ctx, m, a.u.boot.launch.Getenv)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return manager, nil
}

// errServiceEnds: systemd would end what is left of the service with its main process.
func errServiceEnds(m *foreign.Master, unit, why string) error {
	return fmt.Errorf("%s (pid %d) runs as %s, which ends with it: %s (docs/migration/leaving.md)", m.Name, m.PID, unit, why)
}

// foreignPath is the path of a unix socket that another program has opened, "" without one.
func (t *passing) foreignPath() string {
	for _, p := range t.all() {
		if w := p.describe(); w.Foreign && strings.HasPrefix(w.Network, "unix") {
			return w.Address
		}
	}
	return ""
}

// dismissMaster ends the foreign master, now that the service is out of its hands and this process,
// the last worker that it knows, has drained. The workers before this one drain, too, and have until
// the deadline of this one's drain: a signal from the master is impatience to them.
func (u *Upgrader) dismissMaster(m *foreign.Master, deadline time.Time) {
	tick := time.NewTicker(timing.SiblingPoll)
	defer tick.Stop()
	for time.Now().Before(deadline) && !masterGone(m) && proc.HasSibling() {
		<-tick.C
	}
	if masterGone(m) {
		return
	}
	if m.Dismiss == nil {
		u.log.Info("the master ends with this process", "master", m.Name, "master_pid", m.PID)
		return
	}
	// It would replace a worker that ends before it knows. start_server sleeps through a signal that comes
	// right before its wait(2), so it is told again.
	passedOn := make(chan os.Signal, 1)
	signal.Notify(passedOn, syscall.SIGTERM)
	defer signal.Stop(passedOn)
	late := time.After(timing.Dismiss)
	for again := time.NewTicker(timing.MasterPoll); ; {
		if err := m.Signal(m.Dismiss); err != nil {
			u.log.Error("the master can't be told to end; end it", "master", m.Name, "master_pid", m.PID, "error", err)
			return
		}
		select {
		case <-passedOn:
			u.log.Info("the master ends", "master", m.Name, "master_pid", m.PID)
			return
		case <-again.C:
		case <-late:
			u.log.Warn("the master does not end; end it", "master", m.Name, "master_pid", m.PID)
			return
		}
	}
}
