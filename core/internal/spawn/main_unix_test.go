//go:build unix

package spawn

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest"
)

const (
	envProgram = "SPAWN_TEST_PROGRAM"  // what this test binary plays: "maker" or "new"
	envScript  = "SPAWN_TEST_SCRIPT"   // what the maker starts; "$0" is this test binary
	envBell    = "SPAWN_TEST_DOORBELL" // the value of wire.EnvDoorbell that the new process believes
)

func TestMain(m *testing.M) {
	proctest.Play(envProgram, func(name string) int {
		play := playNew
		if name == "maker" {
			play = playMaker
		}
		if err := play(); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	})
	os.Exit(proctest.Main(m))
}

// playMaker plays an old process, which starts a script as the new one, and is killed then.
func playMaker() error {
	d, err := NewDoorbell()
	if err != nil {
		return err
	}
	if err := d.Pass(wire.PassMsg{}, []int{0}); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	v := d.Assignment(fd.First)
	_, info, _ := strings.Cut(v, "=")
	if _, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", os.Getenv(envScript), self}, &syscall.ProcAttr{
		Env:   append(os.Environ(), v, envProgram+"=new", envBell+"="+info),
		Files: []uintptr{0, 1, 2, uintptr(d.End())},
	}); err != nil {
		return err
	}
	fmt.Println("started")
	select {}
}

// playNew plays a new process, and says whether it has found something behind the doorbell.
func playNew() error {
	p, err := Answer(os.Getenv(envBell))
	switch {
	case err != nil:
		return err
	case p == nil:
		fmt.Println("left")
	default:
		fmt.Println("taken")
	}
	return nil
}
