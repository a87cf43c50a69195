package procgroup

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Process is a program that was started, with the processes that it has started in turn.
type Process struct {
	Group
	Cmd *exec.Cmd
	Log *Output // what they have written to standard error and output, unless Cmd had another place for it

	mark    string   // in their environment
	leash   *os.File // the other end of their standard input; nil if Cmd had one
	news    news
	readers sync.WaitGroup
	exited  chan struct{}
	ended   chan struct{}
}

// Start starts cmd as the leader of a group. A standard output or error that is nil goes to Log, one that is an
// *Output goes there. A standard input that is nil is a pipe in which nothing comes before its end, see Close.
func Start(cmd *exec.Cmd) (_ *Process, err error) {
	Lead(cmd)
	p := &Process{Cmd: cmd, Log: new(Output), mark: newMark(), exited: make(chan struct{}), ended: make(chan struct{})}
	cmd.Env = append(cmd.Environ(), p.mark)
	var passed []*os.File
	defer func() {
		for _, f := range passed {
			f.Close()
		}
		if err != nil {
			p.Close()
		}
	}()
	if cmd.Stdin == nil {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		cmd.Stdin, p.leash, passed = r, w, append(passed, r)
	}
	pipes := map[*Output]*os.File{}
	for _, w := range []*io.Writer{&cmd.Stdout, &cmd.Stderr} {
		o, ok := (*w).(*Output)
		if *w == nil {
			o, ok = p.Log, true
		}
		if !ok {
			continue
		}
		if pipes[o] == nil {
			if pipes[o], err = p.collect(o); err != nil {
				return nil, err
			}
			passed = append(passed, pipes[o])
		}
		*w = pipes[o]
	}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	p.Group = Group(cmd.Process.Pid)
	return p, nil
}

// collect returns the end of a pipe that leads to o.
func (p *Process) collect(o *Output) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.readers.Go(func() { o.read(r, &p.news) })
	return w, nil
}

// run starts the program, and stays on its thread until it has ended. The signal that SysProcAttr.Pdeathsig
// asks for comes with the end of that thread (prctl(2), PR_SET_PDEATHSIG).
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	err := p.Cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = p.Cmd.Wait() // the ProcessState says it, too
	close(p.exited)
	p.news.tell()
	p.readers.Wait()
	close(p.ended)
	p.news.tell()
}

// PID is the number of the process that Start has started.
func (p *Process) PID() int { return p.Cmd.Process.Pid }

// Exited is closed when the process that Start has started has ended. Cmd.ProcessState says how.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Ended is closed when, besides, no process has the standard output or error any more that Start has passed on:
// every generation has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running reports whether Ended is not closed yet.
func (p *Process) Running() bool { return !closed(p.ended) }

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// Has reports whether the process is in the group, or was started by one of the Process, and has not ended. Where
// the system does not tell it is true of every process.
func (p *Process) Has(pid int) bool { return p.Group.Has(pid) || lives(pid, p.mark) }

// Live lists the processes that have not ended. Known is as in [Group.Members].
func (p *Process) Live(known ...int) []int {
	pids := append(p.Group.Live(known...), marked(p.mark)...)
	slices.Sort(pids)
	return slices.Compact(pids)
}

// Signal sends a signal to a process that Has reports.
func (p *Process) Signal(pid int, sig os.Signal) error { return send(pid, sig, p.Has) }

// Thaw lets a frozen process go on.
func (p *Process) Thaw(pid int) error { return p.Signal(pid, sigcont) }

// Freeze stops a process, and returns when all its threads stand still.
func (p *Process) Freeze(pid int) error { return freeze(pid, p.Has) }

// Kill sends SIGKILL to every process that is left.
func (p *Process) Kill() {
	p.Group.Kill()
	for _, pid := range marked(p.mark) {
		_ = send(pid, os.Kill, p.Has)
	}
}

// Wait waits until cond holds, and reports false if it does not when all processes have ended or late comes.
// It asks whenever they have written something, and a hundred times a second.
func (p *Process) Wait(late <-chan time.Time, cond func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		news, over := p.news.next(), !p.Running()
		if cond() {
			return true
		}
		if over {
			return false
		}
		select {
		case <-news:
		case <-tick.C:
		case <-late:
			return false
		}
	}
}

// Close ends the standard input of the processes. A program that has called proctest.EndWithInput, or does
// the like, ends then.
func (p *Process) Close() {
	if p.leash != nil {
		p.leash.Close()
	}
}

// End ends every process that is left, and waits for that. It is an error if one of them is still there after
// that time.
func (p *Process) End(patience time.Duration) error {
	p.Close()
	late := time.After(patience)
	for {
		if p.Running() {
			p.Kill() // the output is open, so the group is not empty, and its number is nobody else's
		}
		if !p.Running() && len(p.Live()) == 0 {
			return nil
		}
		select {
		case <-time.After(look):
		case <-late:
			return fmt.Errorf("after %v its output is closed: %t, and there are the processes %v", patience, !p.Running(), p.Live())
		}
	}
}
