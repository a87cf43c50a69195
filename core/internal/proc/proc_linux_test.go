package proc

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestOfAChild follows a child of this process from its start to its end.
func TestOfAChild(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("cat")
	in := must.Get(cmd.StdinPipe())(t)
	must.Do(t, cmd.Start())
	pid := cmd.Process.Pid
	if !Alive(pid) || Zombie(pid) || !Running(cmd.Process) {
		t.Error("it is not there")
	}
	if parent, known := Parent(pid); !known || parent != os.Getpid() {
		t.Errorf("its parent is %d, %v", parent, known)
	}
	all := Descendants(os.Getpid())
	if !slices.ContainsFunc(all, func(p *os.Process) bool { return p.Pid == pid }) {
		t.Error("it is no descendant")
	}
	_ = in.Close()
	for end := time.Now().Add(time.Minute); !Zombie(pid) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if !Zombie(pid) || Alive(pid) || Running(cmd.Process) {
		t.Error("it has not ended, and was not waited for")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, known := Parent(pid); known || Zombie(pid) || Alive(pid) {
		t.Error("it is still there")
	}
}

func TestOfThisProcess(t *testing.T) {
	t.Parallel()
	if !Alive(os.Getpid()) || !Alive(StartedBy) {
		t.Error("this process or its parent is not there")
	}
	if n := ResidentMemory(); n < 1<<20 {
		t.Errorf("it has %d bytes", n)
	}
}
