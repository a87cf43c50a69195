package core

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/owner"
	"github.com/gracex-go/gracex/core/internal/timing"
)

const (
	// networkControl is the network of the operator's control socket in the listener
	// table and in Welcome. A version that does not know it claims no such listener, and
	// closes it.
	networkControl = "control"
	socketMode     = 0o600
	socketDirMode  = 0o700
	operatorsMode  = 0o755 // of the directory, if there are operators: they find the socket, and its list says who connects
)

// controlConfig is what WithControlSocket said.
type controlConfig struct {
	path  string // empty: none
	given bool   // the option was used
}

// controlSocket is the operator's: an http.Server beside the program's own, which no
// drain waits for and no ledger counts. Its methods do nothing on nil.
type controlSocket struct {
	u      *Upgrader
	ln     *listener
	server *http.Server

	admitting sync.Mutex // held while the file's access control list is changed

	mu     sync.Mutex
	active map[net.Conn]bool // that have sent something and have no answer yet
	quiet  chan struct{}     // closed when there are none; nil unless finish waits
	kept   []net.Conn        // that are closed by the end of this process, and not by the garbage collector
}

// openControlSocket opens the control socket, or claims the old process's. An explicit
// one that can't be opened makes Ready fail, which tells an old process why.
func (u *Upgrader) openControlSocket() {
	path, given := u.cfg.control.path, u.cfg.control.given
	if !given && u.cfg.pidFile != "" {
		path = control.DefaultPath(u.cfg.pidFile)
		if _, err := owner.RuntimeDir(); err != nil {
			u.log.Warn("the control socket is not in the runtime directory", "path", path, "error", err)
		}
	}
	if path == "" {
		return
	}
	ln, err := u.listenControl(path)
	switch {
	case err == nil:
		u.socket = newControlSocket(u, ln)
	case given:
		u.servers.failed = fmt.Errorf("%scontrol socket: %w", prefix, err)
	default:
		u.log.Info("no control socket; choose its path with WithControlSocket, or switch it off", "path", path, "error", err)
	}
}

func (u *Upgrader) listenControl(path string) (*listener, error) {
	if path[0] == '@' {
		return nil, fmt.Errorf("%s: an abstract name has no mode that would keep others out; choose a path", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	ln, err := u.listen(networkControl, path, func(*inheritance) (net.Listener, error) { return openControl(path, len(u.cfg.operators) > 0) })
	if err != nil {
		return nil, err
	}
	return ln.(*listener), nil
}

// openControl makes the socket, in a directory in which nobody else can replace it, and with its mode from the first
// moment.
func openControl(path string, operators bool) (net.Listener, error) {
	if err := makeSocketDir(filepath.Dir(path), operators); err != nil {
		return nil, err
	}
	ln, err := listenPrivately(path)
	if errors.Is(err, syscall.EINVAL) {
		return nil, fmt.Errorf("%w; a path of %d bytes may be too long for a unix socket: about 90 are always possible", err, len(path))
	}
	return ln, err
}

// makeSocketDir makes the directory if it does not exist, and looks at whose it is, and those above it.
func makeSocketDir(dir string, operators bool) error {
	if owner.CheckDir(filepath.Dir(dir)) == nil {
		err := os.Mkdir(dir, socketDirMode)
		if err == nil && operators {
			err = os.Chmod(dir, operatorsMode) // whatever the umask is
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("the directory can't be made; make it, or choose another path: %w", err)
		}
	}
	err := owner.CheckDir(dir)
	switch {
	case errors.As(err, new(*owner.Error)):
		return fmt.Errorf("%w, or choose a path in another directory", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the directory does not exist; make it, or choose another path: %w", err)
	}
	return err
}

const (
	headerWait = 5 * time.Second  // for a client to send its request
	bodyWait   = 5 * time.Second  // and its body
	writeWait  = 10 * time.Second // and to read a line of the answer
	idleWait   = 30 * time.Second
	maxHeader  = 16 << 10 // bytes
	maxBody    = 64 << 10
	maxStart   = 8 << 20 // of an upgrade, which may have an environment and arguments: execve(2) takes 6 MiB at most
)

func newControlSocket(u *Upgrader, ln *listener) *controlSocket {
	s := &controlSocket{u: u, ln: ln, active: make(map[net.Conn]bool)}
	s.server = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerWait,
		IdleTimeout:       idleWait,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(u.log.Handler(), slog.LevelDebug),
		ConnState:         s.onConnState,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, whoAsks(c, u.cfg.operators))
		},
	}
	return s
}

// serve answers once this process is current.
func (s *controlSocket) serve() {
	if s == nil {
		return
	}
	s.u.log.Debug("control socket", "path", s.ln.origin.Address)
	go func() {
		if err := s.server.Serve(s.ln); !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			s.u.log.Error("the control socket does not answer any more", "path", s.ln.origin.Address, "error", err)
		}
	}()
}

// unlink removes the path, for a new process that has the socket and does not know it.
func (s *controlSocket) unlink() {
	if s != nil {
		s.ln.unlink()
	}
}

// finish lets the clients that wait have their answers, the outcome of an upgrade above
// all, and ends the server.
func (s *controlSocket) finish() {
	if s == nil {
		return
	}
	s.mu.Lock()
	quiet := make(chan struct{})
	if s.quiet = quiet; len(s.active) == 0 {
		close(quiet)
		s.quiet = nil
	}
	s.mu.Unlock()
	select {
	case <-quiet:
	case <-time.After(timing.LastAnswers):
	}
	_ = s.server.Close()
}

func (s *controlSocket) onConnState(c net.Conn, st http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st == http.StateActive {
		s.active[c] = true
		return
	}
	delete(s.active, c)
	if s.quiet != nil && len(s.active) == 0 {
		close(s.quiet)
		s.quiet = nil
	}
}

// ControlSocket returns the absolute path of this process's control socket, for a client of package control in the
// program itself, such as that of package page. It is empty without a socket, and before an Upgrader is made.
func ControlSocket() string {
	if u := running.Load(); u != nil && u.socket != nil {
		return u.socket.ln.origin.Address
	}
	return ""
}
