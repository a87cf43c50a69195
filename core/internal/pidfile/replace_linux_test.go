package pidfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestPrepare_FindsWhatCantBeReplaced: a file at the path that no rename can replace is found before anything is
// committed, and stays.
func TestPrepare_FindsWhatCantBeReplaced(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make such files")
	}
	const (
		nobody, other = 65534, 65533
		own           = "mount --make-rprivate /; " // mounts
		fine          = "error: <nil>"
	)
	asNobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	withMounts := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	try := exec.Command("true")
	try.SysProcAttr = withMounts
	if err := try.Run(); err != nil && os.Getenv("CORE_TEST_NAMESPACES") == "" {
		t.Skip("no namespaces can be had: ", err)
	}
	// Where another user can execute it, and written before the children of the tests are forked.
	play := filepath.Join(t.TempDir(), "play")
	must.Do(t, os.Chmod(filepath.Dir(filepath.Dir(play)), 0o755))
	must.Do(t, os.WriteFile(play, must.Get(os.ReadFile(must.Get(os.Executable())(t)))(t), 0o755))
	for name, tt := range map[string]struct {
		mode  os.FileMode // of the directory
		owner int         // of the file
		line  string      // of a shell, before
		as    *syscall.SysProcAttr
		says  string
	}{
		"another user's in a sticky directory": {os.ModeSticky | 0o777, other, "", asNobody,
			"the file belongs to user 65533, and in the sticky directory "},
		"another user's in an open directory": {0o777, other, "", asNobody, fine},
		"the own one in a sticky directory":   {os.ModeSticky | 0o777, nobody, "", asNobody, fine},
		"another user's for root":             {os.ModeSticky | 0o777, other, "", nil, fine},
		"mounted by itself":                   {0o755, 0, own + "echo 1 >host; mount --bind host app.pid", withMounts, "it is mounted there by itself"},
		"in a directory that is mounted":      {0o755, 0, own + "mount -t tmpfs none .; cd $PWD; echo 1 >app.pid", withMounts, fine},
		"behind a link":                       {0o755, 0, own + "mount -t tmpfs none ..; cd $PWD/..; mkdir at; ln -s at d; mount -t tmpfs none at; echo 1 >at/app.pid", withMounts, fine},
		"on a read-only file system":          {0o755, 0, own + "mount --bind . .; cd $PWD; mount -o remount,bind,ro .", withMounts, "no file can be made in the directory"},
		"on a full file system": {0o755, 0, own + "mount -t tmpfs -o size=4k none .; cd $PWD; echo 1 >app.pid", withMounts,
			"takes no file; make room"},
		"immutable":   {0o755, 0, "chattr +i app.pid", nil, "as with one that is immutable"},
		"append-only": {0o755, 0, "chattr +a app.pid", nil, "as with one that is immutable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := t.TempDir()
			must.Do(t, os.Chmod(filepath.Dir(up), 0o755)) // that another user can go there
			dir := filepath.Join(up, "d")
			must.Do(t, os.Mkdir(dir, 0o755))
			path := filepath.Join(dir, "app.pid")
			write(t, path, 100)
			must.Do(t, os.Chown(path, tt.owner, tt.owner))
			must.Do(t, os.Chmod(dir, tt.mode))
			if strings.HasPrefix(tt.line, "chattr") {
				if out, err := exec.Command("chattr", "+i", path).CombinedOutput(); err != nil {
					t.Skipf("no attributes can be set: %s", out)
				}
				t.Cleanup(func() { _ = exec.Command("chattr", "-ia", path).Run() })
				must.Do(t, exec.Command("chattr", "-i", path).Run())
			}
			cmd := exec.Command("sh", "-ec", tt.line+"\nexec "+play)
			cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, append(os.Environ(), envProgram+"="+path), tt.as
			out := string(must.Get(cmd.CombinedOutput())(t))
			if !strings.Contains(out, tt.says) {
				t.Errorf("%s; want %q", out, tt.says)
			}
			if pid, err := Read(path); tt.as != withMounts && (pid == 100) != (tt.says != fine) {
				t.Errorf("the file names %d, %v", pid, err)
			}
			if got := names(t, dir); strings.Contains(got, ".app.pid.") {
				t.Errorf("the directory holds %q", got)
			}
		})
	}
}
