package main

import (
	"encoding/json"
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
)

const (
	// envShim makes a process the shim: its value is the cell's directory.
	envShim = "GRACEX_FAULTKIT_DIR"
	// envControl is core.EnvControl, see docs/protocol.md.
	envControl = "GRACEX_HANDOVER"
	// linkName is the unix socket in a cell's directory on which the kit hears its shims.
	linkName = "kit"
	// signalTime is more than a signal to oneself takes to be delivered. Some do not end
	// a Go program.
	signalTime = time.Second
)

// report is what a shim tells the kit: first its own pid, with the handover socket to the
// old process, and then the program's.
type report struct {
	Shim  int `json:"shim,omitempty"`
	Child int `json:"child,omitempty"`
}

// order is what the kit tells a shim: what to start, which comes with the program's
// handover socket, and then that all of the program's words were passed on.
type order struct {
	Program string `json:"program,omitempty"`
	Files   uint64 `json:"files,omitempty"` // its limit of descriptors; 0: as it is
}

// playShim is the shim's main. It ends as the program has ended.
func playShim(dir string) (status int) {
	// The program is to die with this process: PR_SET_PDEATHSIG is about the thread
	// that has started it.
	runtime.LockOSThread()
	child, passed, err := startBehind(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faultkit: shim:", err)
		return 1
	}
	ws := wait(child)
	<-passed
	if ws.Signaled() {
		signal.Reset()
		_ = syscall.Kill(os.Getpid(), ws.Signal())
		time.Sleep(signalTime)
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// startBehind gives the handover socket to the kit, and starts the program with the one
// that the kit gives for it. The channel is closed when all that the program has said is
// passed on.
func startBehind(dir string) (child int, passed <-chan struct{}, err error) {
	link, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(dir, linkName), Net: "unix"})
	if err != nil {
		return 0, nil, err
	}
	value := os.Getenv(envControl)
	fields := strings.Split(value, ":")
	if len(fields) < 3 {
		return 0, nil, fmt.Errorf("%s=%q: this process was not started by a program on gracex", envControl, value)
	}
	control, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0, nil, fmt.Errorf("%s=%q: %w", envControl, value, err)
	}
	hello, err := json.Marshal(report{Shim: os.Getpid()})
	if err == nil {
		err = fd.Send(link, hello, []int{control})
	}
	_ = fd.Close(control)
	in, do := fd.NewReceiver(link), order{}
	orders := json.NewDecoder(in)
	if err == nil {
		err = orders.Decode(&do)
	}
	files := in.Take()
	if err == nil && len(files) != 1 {
		err = errors.New("it came without a handover socket")
	}
	if err != nil {
		return 0, nil, fmt.Errorf("the kit's order: %w", err)
	}
	if child, err = do.start(control, files[0]); err != nil {
		return 0, nil, fmt.Errorf("start %s: %w", do.Program, err)
	}
	told := make(chan struct{})
	go func() {
		if orders.Decode(&do) != nil {
			os.Exit(1) // without the kit nobody stops the program: it dies with this process
		}
		close(told)
	}()
	return child, told, json.NewEncoder(link).Encode(report{Child: child})
}

// start starts the program as the old process meant it, but for its end of the control
// socket, which goes to the same place, so the variable holds.
func (o order) start(control, end int) (child int, err error) {
	attr := &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	for l := fd.First; l < control; l++ {
		attr.Files = append(attr.Files, uintptr(l))
	}
	attr.Files = append(attr.Files, uintptr(end))
	path := o.Program
	if o.Files > 0 {
		if path, err = os.Executable(); err != nil {
			return 0, err
		}
		if attr.Env, err = (launchPlan{Program: o.Program, Files: o.Files}).environ(attr.Env); err != nil {
			return 0, err
		}
	}
	// Caught before there is anybody to pass them on to: the new process's default.
	stop := make(chan os.Signal, 8)
	if child, err = syscall.ForkExec(path, os.Args, attr); err != nil {
		return 0, err
	}
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for sig := range stop {
			_ = syscall.Kill(child, sig.(syscall.Signal))
		}
	}()
	for l := fd.First; l < control; l++ {
		_ = fd.Close(l)
	}
	return child, fd.Close(end)
}

// wait waits for the program and reaps it.
func wait(child int) (ws syscall.WaitStatus) {
	for {
		if _, err := syscall.Wait4(child, &ws, 0, nil); !errors.Is(err, syscall.EINTR) {
			return ws
		}
	}
}
