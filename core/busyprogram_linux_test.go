package core_test

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

// holdForWriting opens a program for writing in another process, as one does that its writer has forked. It returns
// when that has it.
func holdForWriting(t *testing.T, a *app, path string) (holder int) {
	t.Helper()
	b := &app{t: t, dir: a.dir}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	b.files = []*os.File{f}
	b.start("holdsfile", "./holder")
	return b.expect("holds", 0).PID
}

func init() {
	programs["holdsfile"] = func() {
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGUSR1)
		emit(event{Event: "holds"})
		<-asked
		time.Sleep(200 * time.Millisecond) // what it plays: it executes its own program in a while
		check(syscall.Close(3))
	}
}

// TestStart_WaitsForAProgramThatIsOpenForWriting, in an upgrade and in a supervisor after a crash, and by the descriptor
// too, with WithTrustedBinary.
func TestStart_WaitsForAProgramThatIsOpenForWriting(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ mode, trusted string }{
		"upgrade": {"self", ""}, "trusted": {"self", "1"}, "crash": {"supervised", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			must(t, os.Chmod(a.dir, 0o755))
			self, err := os.Executable()
			must(t, err)
			program, err := os.ReadFile(self)
			must(t, err)
			install(t, a.path("holder")) // another file
			must(t, writeProgram(a.path("app"), string(program)))
			a.env = []string{core.EnvMode + "=" + tt.mode, "APP_TRUSTED=" + tt.trusted}
			a.start("app", a.path("app"))
			first := a.expect("ready", 0)
			must(t, writeProgram(a.path("new"), string(program)))
			holder := holdForWriting(t, a, a.path("new"))
			must(t, os.Rename(a.path("new"), a.path("app")))
			if tt.mode == "supervised" {
				a.signal(holder, syscall.SIGUSR1)
				a.signal(first.PID, syscall.SIGKILL)
				a.expect("ready", 1)
				if strings.Contains(a.log(), "no worker could be started") {
					t.Errorf("the supervisor did not wait:\n%s", a.log())
				}
				return
			}
			expectError(t, a.upgrade(first.Addrs[0]), "text file busy", "it is being written to", "by rename")
			a.signal(holder, syscall.SIGUSR1)
			a.next(first)
			if n := strings.Count(a.log(), "upgrade failed"); n != 1 {
				t.Errorf("%d upgrades failed:\n%s", n, a.log())
			}
		})
	}
}
