package program

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestDescribe_InAnotherRoot runs itself in a process that changes its root directory. There is nothing to be put back.
func TestDescribe_InAnotherRoot(t *testing.T) {
	t.Parallel()
	const variable = "PROGRAM_TEST_ROOT"
	if dir := os.Getenv(variable); dir != "" {
		must.Do(t, syscall.Chroot(dir))
		for _, dir := range []string{"/", "/srv/shop"} { // the file is missing, and the directory
			file, remedy := Describe("/srv/shop/app", dir)
			if file != "" || !strings.Contains(remedy, "has changed its root directory (chroot)") || strings.Contains(remedy, "put it back") {
				t.Errorf("in %s: %q, %q", dir, file, remedy)
			}
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can change the root directory")
	}
	if _, remedy := Describe("/srv/no/such/app", "/srv/no"); !strings.Contains(remedy, "is gone; put it back, start") {
		t.Errorf("in the same root: %q", remedy)
	}
	cmd := exec.Command(must.Get(os.Executable())(t), "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), variable+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
