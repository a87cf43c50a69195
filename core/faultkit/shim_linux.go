package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

const (
	// envShim makes a process the shim: its value is the cell's directory.
	envShim = "GRACEX_FAULTKIT_DIR"
	// envControl is core.EnvControl, see docs/protocol.md.
	envControl = "GRACEX_HANDOVER"
)

// signalTime is more than a signal to oneself takes to be delivered. Some do not end
// a Go program.
const signalTime = time.Second

// shim stands between the old process and the new one.
type shim struct {
	link         *link
	outer, inner *net.UnixConn // to the old process and to the new one
	end          int           // the new process's end of inner
	control      int           // the descriptor that the control socket came as
	child        int
}

// playShim is the shim's main. It ends as the program has ended.
func playShim(dir string) (status int) {
	// The program is to die with this process: PR_SET_PDEATHSIG is about the thread
	// that has started it.
	runtime.LockOSThread()
	s := &shim{}
	err := s.open(dir)
	if err == nil {
		err = s.start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faultkit: shim:", err)
		return 1
	}
	passed := make(chan struct{})
	go s.relay(sideOld, s.outer, s.inner)
	go func() {
		defer close(passed)
		s.relay(sideNew, s.inner, s.outer)
	}()
	ws := s.wait()
	<-passed // its last words
	if ws.Signaled() {
		signal.Reset()
		_ = syscall.Kill(os.Getpid(), ws.Signal())
		time.Sleep(signalTime)
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// open finds the control socket, and makes the one for the program.
func (s *shim) open(dir string) (err error) {
	// Without the kit nobody stops the program: it dies with this process.
	if s.link, err = dialLink(filepath.Join(dir, linkName), func() { os.Exit(1) }); err != nil {
		return err
	}
	value := os.Getenv(envControl)
	fields := strings.Split(value, ":")
	if len(fields) < 3 {
		return fmt.Errorf("%s=%q: this process was not started by a program on gracex", envControl, value)
	}
	if s.control, err = strconv.Atoi(fields[1]); err != nil {
		return fmt.Errorf("%s=%q: %w", envControl, value, err)
	}
	c, err := fd.Conn(s.control)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	pair, end, err := fd.Pair()
	if err != nil {
		return err
	}
	var ok, also bool
	s.outer, ok = c.(*net.UnixConn)
	s.inner, also = pair.(*net.UnixConn)
	if !ok || !also {
		return errors.New("the control socket is no unix socket")
	}
	s.end = end
	return nil
}

// start starts the program as the old process meant it. A value of the variable that
// names another process than the parent is believed if a welcome waits.
func (s *shim) start() error {
	f, raw, files, err := readFrame(fd.NewReceiver(s.outer))
	if err != nil {
		return fmt.Errorf("no welcome from the old process: %w", err)
	}
	if err := fd.Send(s.inner, raw, files); err != nil {
		return err
	}
	if f.Type != wire.Welcome {
		return fmt.Errorf("%v instead of welcome", f.Type)
	}
	do, err := s.link.ask(report{At: atStart, Shim: os.Getpid()})
	if err != nil {
		return err
	}
	attr := &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	for l := fd.First; l < s.control; l++ {
		attr.Files = append(attr.Files, uintptr(l))
	}
	attr.Files = append(attr.Files, uintptr(s.end)) // at the same place, so the variable holds
	path := do.Program
	if do.Files > 0 {
		if path, err = os.Executable(); err != nil {
			return err
		}
		if attr.Env, err = (launchPlan{Program: do.Program, Files: do.Files}).environ(attr.Env); err != nil {
			return err
		}
	}
	// Caught before there is anybody to pass them on to: the new process's default.
	stop := make(chan os.Signal, 8)
	if s.child, err = syscall.ForkExec(path, os.Args, attr); err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for sig := range stop {
			_ = syscall.Kill(s.child, sig.(syscall.Signal))
		}
	}()
	for l := fd.First; l < s.control; l++ {
		_ = fd.Close(l)
	}
	_ = fd.Close(s.end)
	_, err = s.link.ask(report{At: atBirth, Shim: os.Getpid(), Child: s.child})
	return err
}

// wait waits for the program and reaps it.
func (s *shim) wait() (ws syscall.WaitStatus) {
	for {
		if _, err := syscall.Wait4(s.child, &ws, 0, nil); !errors.Is(err, syscall.EINTR) {
			return ws
		}
	}
}
