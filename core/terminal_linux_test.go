package core_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gracex-go/gracex/core"
)

func init() { programs["terminal"] = playTerminal }

// playTerminal starts the app on a terminal of its own, and closes that when there is a file "close".
func playTerminal() {
	terminal, tty, err := openTerminal()
	check(err)
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = slices.Concat(os.Environ(), []string{envProgram + "=app"})
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check(cmd.Start())
	check(tty.Close())
	for {
		if _, err := os.Stat("close"); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	check(terminal.Close())
	_ = cmd.Wait()
	emit(event{Event: "exited", Err: cmd.ProcessState.String()})
}

// openTerminal makes a pseudoterminal (pts(4)): the side of the window, and that of the programs.
func openTerminal() (terminal, tty *os.File, err error) {
	terminal, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	var number, unlock int32
	for request, arg := range map[uintptr]*int32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &unlock} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, terminal.Fd(), request, uintptr(unsafe.Pointer(arg))); errno != 0 {
			return nil, nil, errno
		}
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	return terminal, tty, err
}

// TestTerminal_ClosedIsAStop although it comes as a SIGHUP, before an upgrade and after it. Nothing is left.
func TestTerminal_ClosedIsAStop(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/ptmx"); err != nil {
		t.Skip(err)
	}
	for name, upgrades := range map[string]int{"before an upgrade": 0, "after an upgrade": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			a.env = []string{core.EnvMode + "="}
			a.start("terminal", "./app", "-probation", "0")
			first := a.expect("ready", 0).PID
			for i := range upgrades { // a SIGHUP is one while the terminal is there
				a.signal(first, syscall.SIGHUP)
				a.expect("ready", i+1)
				a.expectLog("generation ended", 1)
				a.supervises(first)
			}
			a.write("close", "")
			if got := a.expect("exited", 0).Err; got != "exit status 0" {
				t.Errorf("it ended with %s", got)
			}
			a.expectGone()
			if n := len(a.of("ready")); n != upgrades+1 {
				t.Errorf("%d generations were ready, want %d", n, upgrades+1)
			}
		})
	}
}
