package core

import (
	"os"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// told is what the process that has started this one says by the environment and by a doorbell.
type told struct {
	handover, link, bell string // the values of the variables, or what has come by the doorbell
	given, worker, rung  bool   // there is one
	passed               *spawn.Passed
	believed             bool // it is not just the caller of a program that has more rights
}

// takeTold takes the variables out of the environment.
func takeTold() (t told) {
	t.handover, t.given = takeVariable(wire.EnvHandover)
	t.link, t.worker = takeVariable(wire.EnvLink)
	t.bell, t.rung = takeVariable(wire.EnvDoorbell)
	if _, meant, given := lookSupervise(); given && !meant {
		_ = os.Unsetenv(envSupervise)
		return told{} // all of it is for the supervisor, in which an earlier package has started this process
	}
	return t
}

// answer takes what waits behind the doorbell, if there is one.
func (t *told) answer() (err error) {
	t.believed = true
	if !t.rung {
		return nil
	}
	if t.passed, err = spawn.Answer(t.bell); t.passed != nil {
		t.handover, t.link = t.passed.Handover, t.passed.Link
		t.given, t.worker = t.handover != "", t.link != ""
	}
	return err
}

// forget closes what has come by the doorbell, but for one descriptor, and leaves nothing to believe.
func (t *told) forget(but int) {
	if t.passed != nil {
		for _, s := range t.passed.List {
			if s != but {
				_ = fd.Close(s)
			}
		}
	}
	*t = told{}
}

// isFlagless reports whether an upgrade has started this process without the flag. v is the value of wire.EnvHandover,
// which a process that an earlier package has started has, too: then a program on gracex is between this one and
// the old process, and not only a wrapper.
func isFlagless(v string) bool {
	c, err := wire.ParseHandover(v)
	if err != nil || !c.Flagless || fd.CheckStream(c.Descriptor) != nil {
		return false
	}
	if c.PID == proc.StartedBy {
		return true
	}
	file, ok := proc.Executable(proc.StartedBy)
	return ok && wire.IsWelcome(fd.Peek(c.Descriptor, 64)) && !spawn.OnGracex(file)
}

// takeVariable takes a variable out of the environment.
func takeVariable(name string) (v string, given bool) {
	v, given = os.LookupEnv(name)
	_ = os.Unsetenv(name)
	return v, given
}
