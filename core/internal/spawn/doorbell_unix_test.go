//go:build unix

package spawn

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// inherits returns a duplicate of the doorbell's end, as a process has it, and the value of wire.EnvDoorbell for it.
func inherits(t *testing.T, d *Doorbell) (end int, v string) {
	t.Helper()
	end = must.Get(fd.DupOf(d.End()))(t)
	return end, wire.LinkInfo{Version: wire.Version, Descriptor: end, PID: os.Getpid()}.String()
}

// TestDoorbell_PassesMoreThanOneMessageHas descriptors, in their order, and is dead for everybody else then.
func TestDoorbell_PassesMoreThanOneMessageHas(t *testing.T) {
	t.Parallel()
	d := must.Get(NewDoorbell())(t)
	defer d.Close()
	_, v := inherits(t, d)
	var files []int
	for i := range 2*fd.MaxFiles + 1 {
		r, w, err := os.Pipe()
		must.Do(t, err)
		must.Get(w.WriteString(strconv.Itoa(i)))(t)
		must.Do(t, w.Close())
		defer r.Close()
		files = append(files, int(r.Fd()))
	}
	must.Do(t, d.Pass(wire.PassMsg{To: os.Getpid(), Handover: "x", Dir: []byte("/tmp")}, files))
	p, err := Answer(v)
	if err != nil || p == nil {
		t.Fatalf("%v, %v", p, err)
	}
	if p.Handover != "x" || string(p.Dir) != "/tmp" || len(p.List) != len(files) || !p.Has(fd.First+len(files)-1) || p.Has(fd.First+len(files)) {
		t.Errorf("%+v", p)
	}
	for i, s := range p.List {
		f := os.NewFile(uintptr(s), "")
		b := make([]byte, 8)
		n, err := f.Read(b)
		if err != nil || string(b[:n]) != strconv.Itoa(i) {
			t.Errorf("descriptor %d has %q, %v", i, b[:n], err)
		}
		must.Do(t, f.Close())
	}
	if late, _ := inherits(t, d); true {
		c := must.Get(fd.UnixConn(late))(t)
		defer c.Close()
		if mine, err := isFor(c, os.Getpid(), true); mine || !errors.Is(err, errNobodyThere) {
			t.Errorf("another process finds %v, %v", mine, err)
		}
	}
}

// TestDoorbell_LeavesWhatIsForAnother process where it is: for one that it names, and for a child of the maker.
func TestDoorbell_LeavesWhatIsForAnother(t *testing.T) {
	t.Parallel()
	for _, to := range []int{os.Getpid() + 1, 0} {
		leavesWhatIsFor(t, to)
	}
}

func leavesWhatIsFor(t *testing.T, to int) {
	t.Helper()
	d := must.Get(NewDoorbell())(t)
	r, w, err := os.Pipe()
	must.Do(t, err)
	defer r.Close()
	_, v := inherits(t, d)
	end, _ := inherits(t, d)
	defer fd.Close(end)
	must.Do(t, d.Pass(wire.PassMsg{To: to}, []int{int(w.Fd())}))
	must.Do(t, w.Close())
	if p, err := Answer(v); p != nil || err != nil {
		t.Fatalf("%+v, %v: it took what is another process's", p, err)
	}
	if len(fd.Peek(end, 1)) == 0 {
		t.Error("nothing waits there any more")
	}
	d.Close() // the process that it was for has ended
	if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v: the descriptor is open somewhere", n, err)
	}
}

// TestAnswer_IsOfTheMaker that the variable names, which a process with the number of an earlier one is not.
func TestAnswer_IsOfTheMaker(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell who has made a socket")
	}
	ended := exec.Command("true")
	must.Do(t, ended.Run())
	for maker, want := range map[int]string{os.Getpid(): "taken", ended.Process.Pid: "left"} {
		d := must.Get(NewDoorbell())(t)
		r, w, err := os.Pipe()
		must.Do(t, err)
		info := wire.LinkInfo{Version: wire.Version, Descriptor: fd.First, PID: maker}
		must.Do(t, d.Pass(wire.PassMsg{}, []int{0}))
		pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", `exec "$0"`, must.Get(os.Executable())(t)}, &syscall.ProcAttr{
			Env:   append(os.Environ(), envProgram+"=new", envBell+"="+info.String()),
			Files: []uintptr{0, w.Fd(), 2, uintptr(d.End())},
		})
		must.Do(t, err)
		must.Do(t, w.Close())
		out := must.Get(io.ReadAll(r))(t)
		must.Get(syscall.Wait4(pid, nil, 0, nil))(t)
		d.Close()
		r.Close()
		if got, _, _ := strings.Cut(string(out), "\n"); got != want {
			t.Errorf("%v of process %d is %q, want %s", info, os.Getpid(), out, want)
		}
	}
}

// TestAnswer_WhenTheMakerIsKilled before the new process is initialized: that takes all, and a process that it has
// started does not.
func TestAnswer_WhenTheMakerIsKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("this system does not show what a process was started with")
	}
	for script, want := range map[string]string{`exec "$0"`: "taken", `"$0"; :`: "left"} {
		path := filepath.Join(t.TempDir(), "gate")
		must.Do(t, syscall.Mkfifo(path, 0o600))
		gate := must.Get(os.OpenFile(path, os.O_RDWR, 0))(t)
		maker := exec.Command(must.Get(os.Executable())(t))
		maker.Env = append(os.Environ(), envProgram+"=maker", envScript+"=read killed <"+path+"; "+script)
		in := must.Get(maker.StdinPipe())(t) // whose end ends all of them
		out := must.Get(maker.StdoutPipe())(t)
		must.Do(t, maker.Start())
		lines := bufio.NewScanner(out)
		if !lines.Scan() || lines.Text() != "started" {
			t.Fatalf("the maker says %q", lines.Text())
		}
		must.Do(t, maker.Process.Kill())
		must.Get(maker.Process.Wait())(t)
		must.Get(gate.WriteString("killed\n"))(t)
		if lines.Scan(); lines.Text() != want {
			t.Errorf("%s: %q, want %s", script, lines.Text(), want)
		}
		in.Close()
		out.Close()
		gate.Close()
	}
}

func TestAnswer_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"", "1:2:3", "1:3", "x"} {
		if p, err := Answer(v); p != nil || err == nil || !strings.Contains(err.Error(), wire.EnvDoorbell+"="+strconv.Quote(v)) {
			t.Errorf("%q: %+v, %v", v, p, err)
		}
	}
	if !slices.Contains(private, wire.EnvDoorbell) {
		t.Error("the variable is passed on")
	}
}
