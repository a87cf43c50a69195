//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// master keeps the sockets and starts workers.
type master struct {
	files   []*os.File
	next    func(m *master) (vars []string, more []*os.File) // of the next worker
	signals chan os.Signal
	ended   chan *exec.Cmd
	current *exec.Cmd
	old     []*exec.Cmd
}

// newMaster opens the sockets, and starts the first worker.
func newMaster(next func(m *master) ([]string, []*os.File), sigs ...os.Signal) *master {
	m := &master{next: next, signals: caught(append(sigs, syscall.SIGTERM)...), ended: make(chan *exec.Cmd)}
	all := openListeners()
	m.files = files(all)
	for _, ln := range all {
		if ul, ok := ln.(*net.UnixListener); ok {
			ul.SetUnlinkOnClose(false)
		}
		ln.Close()
	}
	say("master")
	check(m.start())
	return m
}

// start starts a worker. The first ones are this program.
func (m *master) start() error {
	vars, more := m.next(m)
	defer closeAll(more)
	cmd := command(slices.Concat(m.files, more), os.Args[1:], append(vars, "PREDECESSOR_WORKER=1"))
	if err := cmd.Start(); err != nil {
		return err
	}
	if m.current != nil {
		m.old = append(m.old, m.current)
	}
	m.current = cmd
	go func() {
		cmd.Wait()
		m.ended <- cmd
	}()
	return nil
}

// lost takes out a worker that has ended, and reports whether it was the current one.
func (m *master) lost(cmd *exec.Cmd) bool {
	if i := slices.Index(m.old, cmd); i >= 0 {
		m.old = slices.Delete(m.old, i, i+1)
		return false
	}
	m.current = nil
	return true
}

// run starts a worker at each SIGHUP, and instead of one that has ended. It does what comes on events meanwhile.
func (m *master) run(reloaded func(), events <-chan func()) {
	deaf := os.Getenv("PREDECESSOR_DEAF") != ""
	for {
		select {
		case sig := <-m.signals:
			switch {
			case sig == syscall.SIGHUP:
				check(m.start())
				reloaded()
			case deaf:
				deaf = false
			default:
				m.stop(sig) // the workers get the same
				return
			}
		case do := <-events:
			do()
		case cmd := <-m.ended:
			if m.lost(cmd) {
				say("respawned")
				check(m.start())
			}
		}
	}
}

// stop ends the workers and waits for them.
func (m *master) stop(sig os.Signal) {
	workers := append(m.old, m.current)
	for _, w := range workers {
		w.Process.Signal(sig)
	}
	for range workers {
		<-m.ended
	}
}

// work serves on the listeners from the given descriptors, or from 3 on, until one of the signals.
func work(descriptors []int, ready func(), sigs ...os.Signal) {
	signals := caught(sigs...)
	for i := len(descriptors); i < len(listen); i++ {
		descriptors = append(descriptors, 3+i)
	}
	var all []net.Listener
	for _, n := range descriptors {
		f := os.NewFile(uintptr(n), "listener")
		all = append(all, must(net.FileListener(f)))
		f.Close()
	}
	s := serve(all, nil)
	say("predecessor")
	ready()
	<-signals
	s.leave()
}

// runGraceful: the new worker tells the old one to go; without a worker the master ends, and without
// a master the workers do.
func runGraceful() {
	m := newMaster(func(m *master) ([]string, []*os.File) {
		old := 0
		if m.current != nil {
			old = m.current.Process.Pid
		}
		return []string{
			"GRACEFUL_WORKER=1", fmt.Sprintf("GRACEFUL_NUMFD=%d", len(m.files)),
			fmt.Sprintf("GRACEFUL_PARENT_PID=%d", os.Getpid()), fmt.Sprintf("GRACEFUL_OLD_WORKER_PID=%d", old),
		}, nil
	}, syscall.SIGHUP)
	for living := 1; living > 0; {
		select {
		case sig := <-m.signals:
			if sig == syscall.SIGTERM {
				return
			}
			if err := m.start(); err != nil {
				report(err)
				continue
			}
			living++
		case <-m.ended: // it is the old one of the next worker all the same
			living--
		}
	}
}

func workGraceful() {
	work(nil, func() {
		if old, _ := strconv.Atoi(os.Getenv("GRACEFUL_OLD_WORKER_PID")); old > 1 {
			report(syscall.Kill(old, syscall.SIGTERM))
		}
	}, syscall.SIGTERM)
}

// runOverseer: the worker lets go of the sockets before the next one is started; one that ends by itself takes
// the master with it. Any other signal is passed on.
func runOverseer() {
	m := newMaster(func(m *master) ([]string, []*os.File) {
		return []string{"OVERSEER_IS_SLAVE=1", "OVERSEER_SLAVE_ID=1", fmt.Sprintf("OVERSEER_NUM_FDS=%d", len(m.files))}, nil
	}, syscall.SIGUSR2, syscall.SIGUSR1)
	restarting, awaiting := false, false
	for {
		select {
		case sig := <-m.signals:
			switch {
			case sig == syscall.SIGUSR2 && restarting: // one is on the way
			case sig == syscall.SIGUSR2:
				restarting, awaiting = true, true
				m.current.Process.Signal(sig)
			case sig == syscall.SIGUSR1 && awaiting:
				if restarting { // else its end was noticed first
					check(m.start())
				}
				restarting, awaiting = false, false
			default:
				m.current.Process.Signal(sig)
			}
		case cmd := <-m.ended:
			switch {
			case !m.lost(cmd):
			case !restarting:
				return
			default: // it has ended before it said that it lets go
				check(m.start())
				restarting = false
			}
		}
	}
}

func workOverseer() {
	master, term, asked := os.Getppid(), caught(syscall.SIGTERM), caught(syscall.SIGUSR2)
	go func() {
		<-term
		os.Exit(0)
	}()
	// It says that it has let go before it has: the sockets are the master's anyway.
	go func() {
		<-asked
		report(syscall.Kill(master, syscall.SIGUSR1))
	}()
	work(nil, func() {}, syscall.SIGUSR2)
}

// runStarter: a little after the new worker was started the old ones get SIGTERM, all that are still there, so a
// slow one gets it at each reload.
func runStarter() {
	const interval = 200 * time.Millisecond
	generation := 0
	m := newMaster(func(*master) ([]string, []*os.File) {
		generation++
		var ports []string
		for i, address := range addresses(listen) {
			ports = append(ports, fmt.Sprintf("%s=%d", address, 3+i))
		}
		return []string{
			"SERVER_STARTER_PORT=" + strings.Join(ports, ";"), fmt.Sprintf("SERVER_STARTER_GENERATION=%d", generation),
		}, nil
	}, syscall.SIGHUP)
	events := make(chan func())
	settled := time.AfterFunc(math.MaxInt64, func() {
		events <- func() {
			for _, o := range m.old {
				o.Process.Signal(syscall.SIGTERM)
			}
			say("signalled")
		}
	})
	m.run(func() { settled.Reset(interval) }, events)
}

func workStarter() {
	var descriptors []int
	for pair := range strings.SplitSeq(os.Getenv("SERVER_STARTER_PORT"), ";") {
		n, _ := strconv.Atoi(pair[strings.LastIndexByte(pair, '=')+1:])
		descriptors = append(descriptors, n)
	}
	work(descriptors, func() {}, syscall.SIGTERM)
}

// runEinhorn: the old workers get SIGUSR2 when the new one has said on the command socket that it
// serves, each of them once. With EINHORN_G the worker has a connection to that as a descriptor, as by -g.
func runEinhorn() {
	path := must(filepath.Abs("einhorn.sock"))
	socket := must(net.Listen("unix", path))
	defer socket.Close()
	m := newMaster(func(m *master) ([]string, []*os.File) {
		vars := []string{
			fmt.Sprintf("EINHORN_MASTER_PID=%d", os.Getpid()), "EINHORN_SOCK_PATH=" + path,
			fmt.Sprintf("EINHORN_FD_COUNT=%d", len(m.files)),
		}
		for i := range m.files {
			vars = append(vars, fmt.Sprintf("EINHORN_FD_%d=%d", i, 3+i))
		}
		if os.Getenv("EINHORN_G") == "" {
			return vars, nil
		}
		c := must(net.Dial("unix", path))
		defer c.Close()
		return append(vars, fmt.Sprintf("EINHORN_SOCK_FD=%d", 3+len(m.files))), files([]net.Conn{c})
	}, syscall.SIGHUP, syscall.SIGUSR2)
	events, asked := make(chan func()), map[*exec.Cmd]bool{}
	go takeAcks(socket, func(pid int) {
		events <- func() {
			if pid != m.current.Process.Pid {
				return
			}
			for _, o := range m.old {
				if !asked[o] {
					o.Process.Signal(syscall.SIGUSR2)
				}
				asked[o] = true
			}
		}
	})
	m.run(func() {}, events)
}

// takeAcks hears which workers serve.
func takeAcks(ln net.Listener, acked func(pid int)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				var msg struct {
					Command string
					PID     int
				}
				if json.Unmarshal(lines.Bytes(), &msg) == nil && msg.Command == "worker:ack" {
					acked(msg.PID)
				}
			}
		}()
	}
}

func workEinhorn() {
	work(nil, func() {
		c := must(net.Dial("unix", os.Getenv("EINHORN_SOCK_PATH")))
		fmt.Fprintf(c, "{\"command\":\"worker:ack\", \"pid\":%d}\n", os.Getpid())
		c.Close()
	}, syscall.SIGUSR2, syscall.SIGTERM)
}
