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
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

const (
	// envShim makes a process the shim: its value is the cell's directory.
	envShim = "GRACEX_FAULTKIT_DIR"
	// linkName is the unix socket in a cell's directory on which the kit hears its shims.
	linkName = "kit"
	// signalTime is more than a signal to oneself takes to be delivered. Some do not end a Go program.
	signalTime = time.Second
)

// The shim tells the kit its own pid, with the handover socket to the old process, and then the program's. The kit
// tells the shim the program's limit of descriptors, 0 for as it is, with the program's handover socket, and then that
// all of the program's words were passed on.
const allPassed = 0

// programIn is a link to the program under test in a cell's directory.
func programIn(dir string) string { return filepath.Join(dir, "program") }

// playShim is the shim's main. It ends as the program has ended.
func playShim(dir string) (status int) {
	// The program is to die with this process: PR_SET_PDEATHSIG is about the thread that has started it.
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

// startBehind gives the handover socket to the kit, and starts the program with the one that the kit gives for it.
// The channel is closed when all that the program has said is passed on.
func startBehind(dir string) (child int, passed <-chan struct{}, err error) {
	link, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(dir, linkName), Net: "unix"})
	if err != nil {
		return 0, nil, err
	}
	told, err := wire.ParseHandover(os.Getenv(wire.EnvHandover))
	if err != nil {
		return 0, nil, fmt.Errorf("this process was not started by a program on gracex: %w", err)
	}
	err = fd.Send(link, fmt.Appendln(nil, os.Getpid()), []int{told.Descriptor})
	_ = fd.Close(told.Descriptor)
	in, limit := fd.NewReceiver(link), uint64(0)
	orders := json.NewDecoder(in)
	if err == nil {
		err = orders.Decode(&limit)
	}
	files := in.Take()
	if err == nil && len(files) != 1 {
		err = errors.New("it came without a handover socket")
	}
	if err != nil {
		return 0, nil, fmt.Errorf("the kit's order: %w", err)
	}
	if child, err = start(programIn(dir), limit, told.Descriptor, files[0]); err != nil {
		return 0, nil, fmt.Errorf("start the program: %w", err)
	}
	over := make(chan struct{})
	go func() {
		if orders.Decode(&limit) != nil {
			os.Exit(1) // without the kit nobody stops the program: it dies with this process
		}
		close(over)
	}()
	return child, over, json.NewEncoder(link).Encode(child)
}

// start starts the program as the old process meant it, but for its end of the handover
// socket, which goes to the same place, so the variable holds.
func start(program string, limit uint64, handover, end int) (child int, err error) {
	attr := &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	for l := fd.First; l < handover; l++ {
		attr.Files = append(attr.Files, uintptr(l))
	}
	attr.Files = append(attr.Files, uintptr(end))
	if limit > 0 {
		if program, err = os.Executable(); err != nil {
			return 0, err
		}
		attr.Env = append(attr.Env, launchEnv(limit, ""))
	}
	// Caught before there is anybody to pass them on to: the new process's default.
	stop := make(chan os.Signal, 8)
	if child, err = syscall.ForkExec(program, os.Args, attr); err != nil {
		return 0, err
	}
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for sig := range stop {
			_ = syscall.Kill(child, sig.(syscall.Signal))
		}
	}()
	for l := fd.First; l < handover; l++ {
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
