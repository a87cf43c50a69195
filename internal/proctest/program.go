package proctest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// Patience bounds every wait. Nothing that works comes near it.
const Patience = 60 * time.Second

// look is how often it is asked for what is waited for.
const look = 2 * time.Millisecond

// Program is a program under test, in all its generations.
type Program struct {
	Cmd *exec.Cmd
	Log *Output // what they have written to standard error and output, unless Cmd had another place for it

	t       testing.TB
	group   procgroup.Group
	leash   *os.File // the other end of their standard input; nil if Cmd had one
	readers sync.WaitGroup
	exited  chan struct{} // closed when the process that was started has ended
	ended   chan struct{} // and no process has the standard output or error any more that was passed on to it
}

// Start starts cmd as the leader of a group. A standard output or error that is nil goes to Log, one that is an
// *Output goes there. A standard input that is nil is a pipe in which nothing comes before its end.
//
// When the test ends, so do the program's processes. One that can't be ended fails the test. A test that has failed
// shows what they wrote to Log.
func Start(t testing.TB, cmd *exec.Cmd) *Program {
	t.Helper()
	note(cmd.Env)
	p, err := start(t, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.end(Patience); err != nil {
			t.Errorf("%s outlives its test: %v", cmd.Args[0], err)
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", cmd.Args[0], p.Log)
		}
	})
	return p
}

func start(t testing.TB, cmd *exec.Cmd) (_ *Program, err error) {
	procgroup.Lead(cmd)
	p := &Program{
		Cmd: cmd, Log: new(Output), t: t, group: procgroup.Group{Mark: procgroup.NewMark()},
		exited: make(chan struct{}), ended: make(chan struct{}),
	}
	cmd.Env = append(cmd.Environ(), p.group.Mark)
	var passed []*os.File
	defer func() {
		for _, f := range passed {
			f.Close()
		}
		if err != nil {
			p.close()
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
	p.group.Leader = cmd.Process.Pid
	return p, nil
}

// run starts the program, and stays on its thread until it has ended. The signal that SysProcAttr.Pdeathsig
// asks for comes with the end of that thread (prctl(2), PR_SET_PDEATHSIG).
func (p *Program) run(started chan<- error) {
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
func (p *Program) PID() int { return p.Cmd.Process.Pid }

// Running reports whether a process is left.
func (p *Program) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// close ends the standard input of the processes. A program that has called EndWithInput, or does the like, ends
// then.
func (p *Program) close() {
	if p.leash != nil {
		p.leash.Close()
	}
}

// end ends every process that is left, and waits for that. It is an error if one of them is still there after that
// time.
func (p *Program) end(patience time.Duration) error {
	p.close()
	late := time.After(patience)
	for {
		if p.Running() {
			p.group.Kill() // the output is open, so the group is not empty, and its number is nobody else's
		}
		if !p.Running() && len(p.group.Live()) == 0 {
			return nil
		}
		select {
		case <-time.After(procgroup.Look):
		case <-late:
			return fmt.Errorf("after %v its output is closed: %t, and there are the processes %v",
				patience, !p.Running(), p.group.Live())
		}
	}
}

// Until waits until cond holds, and reports false if it does not when all processes have ended, or in time.
func (p *Program) Until(cond func() bool) bool {
	for late := time.Now().Add(Patience); ; time.Sleep(look) {
		over := !p.Running() || time.Now().After(late)
		if cond() {
			return true
		}
		if over {
			return false
		}
	}
}

// Await is Until where cond has to hold.
func (p *Program) Await(what string, cond func() bool) {
	p.t.Helper()
	switch {
	case p.Until(cond):
	case p.Running():
		p.t.Fatalf("not within %v: %s", Patience, what)
	default:
		p.t.Fatalf("every process has ended before: %s", what)
	}
}

// AwaitLog waits until the text was written n times.
func (p *Program) AwaitLog(text string, n int) {
	p.t.Helper()
	if !p.Until(func() bool { return p.Log.Count(text) >= n }) {
		p.t.Fatalf("%q was written %d times, want %d", text, p.Log.Count(text), n)
	}
}

// AwaitPID waits until the pid file names a process of the program other than the old one.
func (p *Program) AwaitPID(path string, old int) (pid int) {
	p.t.Helper()
	p.Await("the pid file names another process", func() bool {
		pid = procgroup.ReadPIDFile(path)
		return pid != 0 && pid != old && p.group.Has(pid)
	})
	return pid
}

// AwaitExit waits for the end of the process that was started, and returns its exit status: -1 after a signal.
func (p *Program) AwaitExit() (status int) {
	p.t.Helper()
	return p.await(p.exited)
}

// AwaitEnd is AwaitExit, and waits for the end of every other process.
func (p *Program) AwaitEnd() (status int) {
	p.t.Helper()
	return p.await(p.ended)
}

func (p *Program) await(end <-chan struct{}) int {
	p.t.Helper()
	select {
	case <-end:
	case <-time.After(Patience):
		p.t.Fatalf("it does not end: %v", p.group.Live())
	}
	return p.Cmd.ProcessState.ExitCode()
}

// Signal sends a signal to a process of the program.
func (p *Program) Signal(pid int, sig os.Signal) {
	p.t.Helper()
	if err := p.group.Signal(pid, sig); err != nil {
		p.t.Fatal(err)
	}
}

// Freeze stops a process of the program, and returns when it stands still.
func (p *Program) Freeze(pid int) {
	p.t.Helper()
	if err := p.group.Freeze(pid); err != nil {
		p.t.Fatal(err)
	}
}

// Await waits until cond holds.
func Await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for late := time.Now().Add(Patience); !cond(); time.Sleep(look) {
		if time.Now().After(late) {
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}
