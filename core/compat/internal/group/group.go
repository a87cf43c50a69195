// Package group runs servers that are started one by one, each by a call that returns when it has ended, on
// the one Upgrader of the process. The packages under core/compat have such calls.
package group

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core"
)

// SettleTime is how long a process that took listeners over waits for servers which claim the rest of
// them, after each that has come: a new version may have dropped an address, and what nobody claims is closed
// when it is ready. The old process serves meanwhile.
const SettleTime = 5 * time.Second

// Server is one to be served.
type Server struct {
	HTTP              *http.Server
	Listener          net.Listener // nil: HTTP.Addr is listened on
	TLS               bool
	CertFile, KeyFile string
	Begin             func(net.Listener) // called before it serves; nil for nothing
}

var (
	mu      sync.Mutex
	running *core.Upgrader // of the process; nil before the first server
	settled *time.Timer    // that says Ready when no more servers come; nil without
)

// Serve serves, and returns when the process should end: nil after a clean stop and after a handover, or why this
// server could not be started. The options are for the first server of a process. It is ready when all listeners that
// it took over are served again; one server that fails before that fails the whole process.
func Serve(s Server, opts ...core.Option) error {
	u, err := add(s, opts)
	if err != nil {
		return err
	}
	<-u.Done()
	return u.Err()
}

func add(s Server, opts []core.Option) (*core.Upgrader, error) {
	mu.Lock()
	defer mu.Unlock()
	if running == nil || isDone(running) {
		u, err := core.New(opts...)
		if err != nil {
			return nil, err
		}
		running, settled = u, nil
	}
	u := running
	if err := attach(u, s); err != nil {
		if core.Generation() > 0 && u.State() == core.StateStarting {
			_ = u.Reject(err) // the old process, whose servers all serve, goes on
		}
		return nil, err
	}
	if settled != nil {
		settled.Stop()
	}
	if len(u.Unclaimed()) == 0 {
		ready(u)
	} else {
		settled = time.AfterFunc(SettleTime, func() { ready(u) })
	}
	return u, nil
}

// ready says Ready, which ends the process's Upgrader if it fails. It is not waited for: the
// checks may take long, and ask other servers.
func ready(u *core.Upgrader) { go func() { _ = u.Ready() }() }

func isDone(u *core.Upgrader) bool {
	select {
	case <-u.Done():
		return true
	default:
		return false
	}
}

func attach(u *core.Upgrader, s Server) error {
	ln := s.Listener
	if ln == nil {
		addr := s.HTTP.Addr
		if addr == "" {
			addr = ":http"
			if s.TLS {
				addr = ":https"
			}
		}
		var err error
		if ln, err = u.Listen(context.Background(), "tcp", addr); err != nil {
			return err
		}
	}
	if s.Begin != nil {
		s.Begin(ln)
	}
	if s.TLS {
		return u.AttachTLS(s.HTTP, ln, s.CertFile, s.KeyFile)
	}
	return u.Attach(s.HTTP, ln)
}

// Cut ends the drain of this process, if it drains.
func Cut() {
	mu.Lock()
	u := running
	mu.Unlock()
	if u == nil {
		return
	}
	if st := u.State(); st != core.StateDraining && st != core.StateStopping {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	go func() { _ = u.Stop(ctx) }()
}
