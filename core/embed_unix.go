//go:build unix

package core

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/core/supervise"
)

// sameGroup reports whether a process is in this one's process group.
func sameGroup(pid int) bool {
	group, err := syscall.Getpgid(pid)
	return err == nil && group == syscall.Getpgrp()
}

// isMain reports whether this is main's goroutine, which the runtime starts first.
func isMain() bool {
	b := make([]byte, 64)
	return bytes.HasPrefix(b[:runtime.Stack(b, false)], []byte("goroutine 1 "))
}

// mainLives reports whether main's goroutine is there. The runtime lists it behind the one that asks.
func mainLives() bool {
	b := make([]byte, 64<<10)
	return bytes.Contains(b[:runtime.Stack(b, true)], []byte("\ngoroutine 1 ["))
}

// goOnAsSupervisor is what follows the drain of a process that supervises the service. If main's goroutine waits for
// the end in Run it ends here, with what main has deferred, and then nothing of the program is left. Else the
// program stays, because it would notice: what waits for the end of the service hears of that.
func (l *lifecycle) goOnAsSupervisor() {
	if l.u.next != nil {
		l.leaveNext()
	}
	l.stand() // its background work may have returned since
	l.u.link().Close()
	switch {
	case l.u.next == nil || l.embedded.Stopping(): // the service ends, and Run returns then
	case !l.phase.mainWaits.Load():
		l.embedded.LeaveOrphans()
		l.log.Warn("the program stays in this process, which only supervises now, because main does not wait in Run: stop what still runs in OnEnd")
	default:
		close(l.phase.goesOn)
		close(l.phase.mainEnds)
		go func() {
			l.u.awaitMain()
			l.u.post((*lifecycle).becomeSupervisor)
		}()
	}
}

// leaveNext hangs up: to the next process this one is no old process any more. One whose background work was cut is,
// until that has returned, or ends with the execve. Two processes must not work at a time.
func (l *lifecycle) leaveNext() {
	if l.u.background.over() {
		l.u.next.HangUp()
		return
	}
	l.log.Warn("background work does not return, and that of the next process waits for it: " +
		"return at the end of its context")
	returned := l.u.background.returned
	go func() {
		<-returned
		l.embedded.Returned()
		l.u.post(func(l *lifecycle) { l.u.next.HangUp() })
	}()
}

// awaitMain waits for the end of main's goroutine.
func (u *Upgrader) awaitMain() {
	late := time.Now().Add(timing.MainEnds)
	for wait := time.Millisecond; mainLives(); wait = min(2*wait, timing.Poll) {
		if time.Now().After(late) {
			u.log.Warn("what main has deferred does not end, and is not waited for any longer", "waited", timing.MainEnds)
			return
		}
		time.Sleep(wait)
	}
}

// becomeSupervisor replaces the image of this process by its supervisor. It comes back if that can't be done.
func (l *lifecycle) becomeSupervisor() {
	if l.u.boot.launch.Raised {
		l.embedded.LeaveOrphans()
		l.log.Info("the program stays in this process, which only supervises now, because it has more rights than its caller: " +
			"after an execve it would not believe what it knows now")
		return
	}
	f, err := l.embedded.Freeze()
	switch {
	case errors.Is(err, supervise.ErrUnsettled):
		if !isClosed(l.embedded.Over()) {
			time.AfterFunc(timing.Poll, func() { l.u.post((*lifecycle).becomeSupervisor) })
		}
		return
	case err == nil:
		if err = l.replaceImage(f); err == nil {
			return
		}
		l.embedded.Thaw(f)
		l.embedded.LeaveOrphans()
		for _, sig := range f.Pending {
			l.signal(sig)
		}
	}
	l.log.Error("this process can't become the supervisor by execve; the program stays in it", "error", err)
}

// replaceImage does it. The image is this one, and not the one on the disk by now: it knows what f means.
//
// Go resets the signal handlers, and lets SIGHUP, SIGINT, SIGQUIT and SIGTERM through, before any code can ask for
// them. All others wait. A SIGHUP in these milliseconds is lost, and a SIGTERM ends the process.
func (l *lifecycle) replaceImage(f *supervise.Frozen) error {
	self := "/proc/self/exe"
	if _, err := os.Stat(self); err != nil {
		if self, err = os.Executable(); err != nil {
			return err
		}
	}
	bell, err := spawn.NewDoorbell() // packages that are initialized before core start processes in the next image, too
	if err != nil {
		return err
	}
	defer bell.Close()
	if err := bell.Pass(wire.PassMsg{To: os.Getpid()}, f.Files()); err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	syscall.ForkLock.Lock() // no child that the program starts now gets what is kept, or signals that wait
	defer syscall.ForkLock.Unlock()
	startTimers := supervise.StopTimers()
	fd.CloseOnExecFrom(fd.First)
	fd.KeepOnExec(bell.End())
	launch, umask := l.u.boot.launch, spawn.Umask()
	dir, dirErr := os.Getwd()
	_ = os.Chdir(launch.Dir) // the workers go there by themselves
	if launch.Umask >= 0 {
		spawn.SetUmask(launch.Umask)
	}
	heed := l.holdSignals(f)
	env := append(f.Environ(), toSupervise(f.String()), bell.Assignment(bell.End()))
	err = os.NewSyscallError("execve", syscall.Exec(self, l.u.boot.commandLine(), env))
	fd.CloseOnExec(bell.End())
	if dirErr == nil {
		_ = os.Chdir(dir)
	}
	if launch.Umask >= 0 && umask >= 0 {
		spawn.SetUmask(umask)
	}
	startTimers()
	heed()
	f.UnblockSignals()
	return err
}

// holdSignals has signals wait for the next image, and notes those that have come. It is the last thing before the
// execve: a thread that the runtime starts now lets them through. heed ends that for SIGHUP, which is ignored.
func (l *lifecycle) holdSignals(f *supervise.Frozen) (heed func()) {
	// The stop of a second channel waits until all that has come is in the first one. That of the first one would
	// let signals through again, with nobody to handle them.
	second := make(chan os.Signal, cap(l.signals))
	l.embedded.Notify(second)
	f.Ignored = signal.Ignored(syscall.SIGHUP)
	f.Blocked = f.BlockSignals()
	signal.Stop(second)
	heed = supervise.IgnoreHangup()
	for len(l.signals) > 0 {
		f.Pending = append(f.Pending, (<-l.signals).(syscall.Signal))
	}
	return heed
}

// endSupervisor ends a process whose main has ended before the service did, and one whose main does not return
// although the service is over. A main that has got a stop signal itself has all the time that it takes.
func (l *lifecycle) endSupervisor() {
	switch {
	case isClosed(l.phase.mainEnds):
		go func() {
			l.u.awaitMain()
			os.Exit(l.embedded.Code()) //nolint:forbidigo // main would do it, and is over
		}()
	case l.u.next != nil && !l.embedded.Asked():
		l.u.ending.Do(func() { go l.u.endMain() })
	}
}
