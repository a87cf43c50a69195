package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/proctest"
)

// envProgram makes the test binary a program.
const envProgram = "PROC_TEST_PROGRAM"

func init() { runtime.LockOSThread() } // main, with the programs that it plays, stays on the first thread

func TestMain(m *testing.M) {
	proctest.Play(envProgram, func(name string) int {
		if name == "headless" {
			playHeadless()
		}
		return playFollower()
	})
	os.Exit(proctest.Main(m, "headless"))
}

// playHeadless is a process that ends and does not come to the end of it: its first thread has ended, and another one
// goes on. So it shows no program, and is the parent of what it has started.
func playHeadless() {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envProgram+"=follower")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}

// playFollower says what becomes of its parent when that is about to end.
func playFollower() int {
	for !Zombie(os.Getppid()) {
		time.Sleep(time.Millisecond)
	}
	_, err := OldVersion()
	fmt.Println(errors.Is(err, os.ErrProcessDone), err)
	return 0
}
