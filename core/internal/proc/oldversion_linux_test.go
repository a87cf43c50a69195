package proc

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// child starts a program that ends with its standard input, which the test closes.
func child(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	in := must.Get(cmd.StdinPipe())(t)
	must.Do(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	// Start returns when the kernel closes the descriptors of the process. It gets its arguments a moment later.
	proctest.Await(t, "the process has its arguments", func() bool { return argument(strconv.Itoa(cmd.Process.Pid), 0) != "" })
	return cmd
}

func TestIsVersionOf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) os.FileInfo {
		path := filepath.Join(dir, name)
		must.Do(t, os.WriteFile(path, nil, 0o600))
		return must.Get(os.Stat(path))(t)
	}
	one, other := file("one"), file("other")
	for name, c := range map[string]struct {
		a, b image
		want bool
	}{
		"the same":                       {image{file: one, path: "/srv/app"}, image{file: one, path: "/srv/app"}, true},
		"replaced":                       {image{file: one, path: "/srv/app", replaced: true}, image{file: other, path: "/srv/app"}, true},
		"a symlink that was switched":    {image{file: one, path: "/srv/1/app", launched: "/srv/now/app"}, image{file: other, path: "/srv/2/app", launched: "/srv/now/app"}, true},
		"has changed its user":           {image{launched: "/srv/app"}, image{file: one, path: "/srv/app", launched: "/srv/app"}, true},
		"another program":                {image{file: one, path: "/bin/watch", launched: "watch"}, image{file: other, path: "/srv/app", launched: "/srv/app"}, false},
		"a path of another namespace":    {image{file: one, path: "/app"}, image{file: other, path: "/app"}, false},
		"another name of the same file":  {image{file: one, path: "/srv/tool"}, image{file: one, path: "/srv/app"}, false},
		"nothing is known of either one": {image{}, image{}, false},
	} {
		if c.a.isVersionOf(c.b) != c.want || c.b.isVersionOf(c.a) != c.want {
			t.Errorf("%s: want %v", name, c.want)
		}
	}
}

func TestImageOf(t *testing.T) {
	t.Parallel()
	cmd := child(t, "/bin/sh", "-c", "read line")
	im := imageOf(strconv.Itoa(cmd.Process.Pid))
	if im.file == nil || im.path == "" || im.replaced || im.launched != "/bin/sh" {
		t.Errorf("%+v", im)
	}
	if !isShell(cmd.Process.Pid) || isShell(os.Getpid()) || RunsThisProgram(cmd.Process.Pid) || !RunsThisProgram(os.Getpid()) {
		t.Error("a shell, or this program, is taken for something else")
	}
}

// TestKeeps: a master has the sockets, and no variable from somebody else.
// TestOldVersion_ThatIsAboutToEnd shows no program any more. It is no stranger.
func TestOldVersion_ThatIsAboutToEnd(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envProgram+"=headless")
	p := proctest.Start(t, cmd)
	p.AwaitLog(fmt.Sprintln(true, os.ErrProcessDone), 1)
}

func TestKeeps(t *testing.T) {
	t.Parallel()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	f := must.Get(ln.(*net.TCPListener).File())(t)
	defer f.Close()
	inode := inodeOf(t, f)
	if err := Keeps(os.Getpid(), "PROC_TEST", []uint64{inode}); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"another socket": Keeps(os.Getpid(), "PROC_TEST", []uint64{inode, 1}),
		"no socket":      Keeps(os.Getpid(), "PROC_TEST", nil),
		"the variable":   Keeps(os.Getpid(), "PATH", []uint64{inode}),
		"another":        Keeps(child(t, "cat").Process.Pid, "PROC_TEST", []uint64{inode}),
	} {
		if !errors.Is(err, ErrNotShown) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// inodeOf is the number in the link "socket:[4711]".
func inodeOf(t *testing.T, f *os.File) uint64 {
	t.Helper()
	link := must.Get(os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd()))))(t)
	return must.Get(strconv.ParseUint(link[len("socket:["):len(link)-1], 10, 64))(t)
}
