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
	"github.com/gracex-go/gracex/core/internal/spawn"
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
	rung, err := spawn.Answer(os.Getenv(wire.EnvDoorbell))
	if err == nil && rung == nil {
		err = errors.New("nothing is passed to it")
	}
	var told wire.HandoverInfo
	if err == nil {
		told, err = wire.ParseHandover(rung.Handover)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("this process was not started by a program on gracex: %w", err)
	}
	handover := &rung.List[told.Descriptor-fd.First]
	err = fd.Send(link, fmt.Appendln(nil, os.Getpid()), []int{*handover})
	_ = fd.Close(*handover)
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
	*handover = files[0]
	if child, err = start(programIn(dir), limit, rung); err != nil {
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

// start starts the program as the old process meant it, but for its end of the handover socket, which goes to the same
// place, and for the doorbell: it inherits all.
func start(program string, limit uint64, passed *spawn.Passed) (child int, err error) {
	attr := &syscall.ProcAttr{
		Env:   append(spawn.Public(os.Environ()), wire.EnvHandover+"="+passed.Handover),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	for _, s := range passed.List {
		attr.Files = append(attr.Files, uintptr(s))
	}
	if limit > 0 {
		if program, err = os.Executable(); err != nil {
			return 0, err
		}
		attr.Env = append(attr.Env, launchEnv(limit, ""))
	}
	// Caught before there is anybody to pass them on to: the new process's default.
	stop := make(chan os.Signal, 8)
	if child, err = syscall.ForkExec(program, spawn.Launch{Argv: os.Args}.Args(), attr); err != nil {
		return 0, err
	}
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for sig := range stop {
			_ = syscall.Kill(child, sig.(syscall.Signal))
		}
	}()
	for _, s := range passed.List {
		_ = fd.Close(s)
	}
	return child, nil
}

// wait waits for the program and reaps it.
func wait(child int) (ws syscall.WaitStatus) {
	for {
		if _, err := syscall.Wait4(child, &ws, 0, nil); !errors.Is(err, syscall.EINTR) {
			return ws
		}
	}
}
