//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// master keeps the sockets and starts workers.
type master struct {
	files   []*os.File
	signals chan os.Signal
	ended   chan *exec.Cmd
	current *exec.Cmd
	old     []*exec.Cmd
}

func newMaster(sigs ...os.Signal) (*master, error) {
	m := &master{signals: make(chan os.Signal, 8), ended: make(chan *exec.Cmd)}
	signal.Notify(m.signals, append(sigs, syscall.SIGTERM)...)
	all, err := open()
	if err != nil {
		return nil, err
	}
	if m.files, err = files(all); err != nil {
		return nil, err
	}
	for _, ln := range all {
		if ul, ok := ln.(*net.UnixListener); ok {
			ul.SetUnlinkOnClose(false)
		}
		ln.Close()
	}
	say("master")
	return m, nil
}

// start starts a worker. The first ones are this program.
func (m *master) start(more []*os.File, vars ...string) error {
	cmd := command(append(m.files[:len(m.files):len(m.files)], more...), os.Args[1:], append(vars, "PREDECESSOR_WORKER=1"))
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
	for i, o := range m.old {
		if o == cmd {
			m.old = append(m.old[:i:i], m.old[i+1:]...)
			return false
		}
	}
	return true
}

// signalOld signals the workers before the current one.
func (m *master) signalOld(sig os.Signal) {
	for _, o := range m.old {
		o.Process.Signal(sig)
	}
}

// stop ends the workers and waits for them.
func (m *master) stop(sig os.Signal) error {
	m.current.Process.Signal(sig)
	m.signalOld(sig)
	for left := len(m.old) + 1; left > 0; left-- {
		<-m.ended
	}
	return nil
}

// worker serves on the listeners from the given descriptors until one of the signals.
func worker(descriptors []int, ready func(), sigs ...os.Signal) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, sigs...)
	var all []net.Listener
	for _, n := range descriptors {
		f := os.NewFile(uintptr(n), "listener")
		ln, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return err
		}
		if ul, ok := ln.(*net.UnixListener); ok {
			ul.SetUnlinkOnClose(false)
		}
		all = append(all, ln)
	}
	s := serve(all)
	say("predecessor")
	if ready != nil {
		ready()
	}
	<-signals
	s.leave()
	return nil
}

// from3 are n descriptors, as the variable says.
func from3(variable string) (out []int) {
	n, _ := strconv.Atoi(os.Getenv(variable))
	for i := range n {
		out = append(out, 3+i)
	}
	return out
}

// runGraceful: the new worker tells the old one to go; without a worker the master ends, and without
// a master the workers do.
func runGraceful() error {
	m, err := newMaster(syscall.SIGHUP)
	if err != nil {
		return err
	}
	start := func() error {
		old := 0
		if m.current != nil {
			old = m.current.Process.Pid
		}
		return m.start(nil, "GRACEFUL_WORKER=1", fmt.Sprintf("GRACEFUL_NUMFD=%d", len(m.files)),
			fmt.Sprintf("GRACEFUL_PARENT_PID=%d", os.Getpid()), fmt.Sprintf("GRACEFUL_OLD_WORKER_PID=%d", old))
	}
	if err := start(); err != nil {
		return err
	}
	living := 1
	for {
		select {
		case sig := <-m.signals:
			if sig == syscall.SIGTERM {
				return nil
			}
			if err := start(); err != nil {
				report(err)
				continue
			}
			living++
		case cmd := <-m.ended:
			m.lost(cmd)
			if living--; living == 0 {
				return nil
			}
		}
	}
}

func workGraceful() error {
	tell := func() {
		if old, _ := strconv.Atoi(os.Getenv("GRACEFUL_OLD_WORKER_PID")); old > 1 {
			report(syscall.Kill(old, syscall.SIGTERM))
		}
	}
	return worker(from3("GRACEFUL_NUMFD"), tell, syscall.SIGTERM)
}

// runOverseer: the worker lets go of the sockets before the next one is started; one that ends by itself takes
// the master with it. Any other signal is passed on.
func runOverseer() error {
	m, err := newMaster(syscall.SIGUSR2, syscall.SIGUSR1)
	if err != nil {
		return err
	}
	start := func() error {
		return m.start(nil, "OVERSEER_IS_SLAVE=1", "OVERSEER_SLAVE_ID=1", fmt.Sprintf("OVERSEER_NUM_FDS=%d", len(m.files)))
	}
	if err := start(); err != nil {
		return err
	}
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
				awaiting = false
				if !restarting { // its end was noticed first
					continue
				}
				restarting = false
				if err := start(); err != nil {
					return err
				}
			default:
				m.current.Process.Signal(sig)
			}
		case cmd := <-m.ended:
			if !m.lost(cmd) {
				continue
			}
			if !restarting {
				return nil
			}
			restarting = false // it has ended before it said that it lets go
			if err := start(); err != nil {
				return err
			}
		}
	}
}

func workOverseer() error {
	master := os.Getppid()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		os.Exit(0)
	}()
	// It says that it has let go before it has: the sockets are the master's anyway.
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR2)
	go func() {
		<-asked
		report(syscall.Kill(master, syscall.SIGUSR1))
	}()
	return worker(from3("OVERSEER_NUM_FDS"), nil, syscall.SIGUSR2)
}

// runStarter: a little after the new worker was started the old ones get SIGTERM, all that are still there, so a
// slow one gets it at each reload.
func runStarter() error {
	const interval = 200 * time.Millisecond
	m, err := newMaster(syscall.SIGHUP)
	if err != nil {
		return err
	}
	generation := 0
	start := func() error {
		generation++
		var ports []string
		for i, l := range listen {
			_, address, _ := strings.Cut(l, ",")
			ports = append(ports, fmt.Sprintf("%s=%d", address, 3+i))
		}
		return m.start(nil, "SERVER_STARTER_PORT="+strings.Join(ports, ";"), fmt.Sprintf("SERVER_STARTER_GENERATION=%d", generation))
	}
	if err := start(); err != nil {
		return err
	}
	var settled <-chan time.Time
	deaf := os.Getenv("PREDECESSOR_DEAF") != ""
	for {
		select {
		case sig := <-m.signals:
			if sig == syscall.SIGTERM && deaf {
				deaf = false
				continue
			}
			if sig == syscall.SIGTERM {
				return m.stop(sig)
			}
			if err := start(); err != nil {
				return err
			}
			settled = time.After(interval)
		case <-settled:
			m.signalOld(syscall.SIGTERM)
			say("signalled")
		case cmd := <-m.ended:
			if m.lost(cmd) {
				say("respawned")
				m.current = nil
				if err := start(); err != nil {
					return err
				}
			}
		}
	}
}

func workStarter() error {
	var descriptors []int
	for _, pair := range strings.Split(os.Getenv("SERVER_STARTER_PORT"), ";") {
		n, _ := strconv.Atoi(pair[strings.LastIndexByte(pair, '=')+1:])
		descriptors = append(descriptors, n)
	}
	return worker(descriptors, nil, syscall.SIGTERM)
}

// runEinhorn: the old workers get SIGUSR2 when the new one has said on the command socket that it
// serves, each of them once. With EINHORN_G the worker has a connection to that as a descriptor, as by -g.
func runEinhorn() error {
	m, err := newMaster(syscall.SIGHUP, syscall.SIGUSR2)
	if err != nil {
		return err
	}
	path, err := filepath.Abs("einhorn.sock")
	if err != nil {
		return err
	}
	command, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	defer command.Close()
	acks, asked := make(chan int), make(map[*exec.Cmd]bool)
	go takeAcks(command, acks)
	start := func() error {
		vars := []string{
			fmt.Sprintf("EINHORN_MASTER_PID=%d", os.Getpid()), "EINHORN_SOCK_PATH=" + path,
			fmt.Sprintf("EINHORN_FD_COUNT=%d", len(m.files)),
		}
		for i := range m.files {
			vars = append(vars, fmt.Sprintf("EINHORN_FD_%d=%d", i, 3+i))
		}
		var more []*os.File
		if os.Getenv("EINHORN_G") != "" {
			c, err := net.Dial("unix", path)
			if err != nil {
				return err
			}
			defer c.Close()
			f, err := c.(*net.UnixConn).File()
			if err != nil {
				return err
			}
			defer f.Close()
			more = append(more, f)
			vars = append(vars, fmt.Sprintf("EINHORN_SOCK_FD=%d", 3+len(m.files)))
		}
		return m.start(more, vars...)
	}
	if err := start(); err != nil {
		return err
	}
	for {
		select {
		case sig := <-m.signals:
			if sig != syscall.SIGHUP {
				return m.stop(sig) // the workers get the same
			}
			if err := start(); err != nil {
				return err
			}
		case pid := <-acks:
			if pid == m.current.Process.Pid {
				say("acknowledged")
				for _, o := range m.old {
					if !asked[o] {
						o.Process.Signal(syscall.SIGUSR2)
					}
					asked[o] = true
				}
			}
		case cmd := <-m.ended:
			if m.lost(cmd) {
				say("respawned")
				m.current = nil
				if err := start(); err != nil {
					return err
				}
			}
		}
	}
}

func takeAcks(ln net.Listener, acks chan<- int) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				var msg struct {
					Command string `json:"command"`
					PID     int    `json:"pid"`
				}
				if json.Unmarshal(lines.Bytes(), &msg) == nil && msg.Command == "worker:ack" {
					acks <- msg.PID
				}
			}
		}()
	}
}

func workEinhorn() error {
	var descriptors []int
	n, _ := strconv.Atoi(os.Getenv("EINHORN_FD_COUNT"))
	for i := range n {
		d, _ := strconv.Atoi(os.Getenv("EINHORN_FD_" + strconv.Itoa(i)))
		descriptors = append(descriptors, d)
	}
	ack := func() {
		c, err := net.Dial("unix", os.Getenv("EINHORN_SOCK_PATH"))
		report(err)
		if err == nil {
			fmt.Fprintf(c, "{\"command\":\"worker:ack\", \"pid\":%d}\n", os.Getpid())
			c.Close()
		}
	}
	return worker(descriptors, ack, syscall.SIGUSR2, syscall.SIGTERM)
}
