package procgroup

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// Process is a program that was started, with the processes that it has started in turn.
type Process struct {
	Group
	Cmd *exec.Cmd
	Log *Output // what they have written to standard error and output, unless Cmd had another place for it

	leash   *os.File // the other end of their standard input; nil if Cmd had one
	readers sync.WaitGroup
	exited  chan struct{} // closed when the process that was started has ended
	ended   chan struct{} // and no process has the standard output or error any more that was passed on to it
}

// Start starts cmd as the leader of a group. A standard output or error that is nil goes to Log, one that is an *Output
// goes there. A standard input that is nil is a pipe in which nothing comes before its end, see Close.
func Start(cmd *exec.Cmd) (_ *Process, err error) {
	Lead(cmd)
	p := &Process{
		Group: Group{Mark: newMark()}, Cmd: cmd, Log: new(Output),
		exited: make(chan struct{}), ended: make(chan struct{}),
	}
	cmd.Env = append(cmd.Environ(), p.Mark)
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
			r, w, err := os.Pipe()
			if err != nil {
				return nil, err
			}
			p.readers.Go(func() { o.read(r) })
			pipes[o], passed = w, append(passed, w)
		}
		*w = pipes[o]
	}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	p.Leader = cmd.Process.Pid
	return p, nil
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
	p.readers.Wait()
	close(p.ended)
}

// PID is the number of the process that Start has started.
func (p *Process) PID() int { return p.Cmd.Process.Pid }

// Exited is closed when the process that Start has started has ended. Cmd.ProcessState says how.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Ended is closed when, besides, no process has the standard output or error any more that Start has passed on: every
// generation has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running reports whether Ended is not closed yet.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Close ends the standard input of the processes. A program that has called proctest.EndWithInput, or does the like,
// ends then.
func (p *Process) Close() {
	if p.leash != nil {
		p.leash.Close()
	}
}

// End ends every process that is left, and waits for that. It is an error if one of them is still there after that
// time.
func (p *Process) End(patience time.Duration) error {
	p.Close()
	late := time.After(patience)
	for {
		if p.Running() {
			p.Kill() // the output is open, so the group is not empty, and its number is nobody else's
		} else {
			p.killMarked() // a daemon has another output
		}
		if !p.Running() && len(p.Live()) == 0 {
			return nil
		}
		select {
		case <-time.After(look):
		case <-late:
			return fmt.Errorf("after %v its output is closed: %t, and there are the processes %v",
				patience, !p.Running(), p.Live())
		}
	}
}
