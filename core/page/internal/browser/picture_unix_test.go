//go:build unix

package browser

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

var picture = flag.String("picture", "", "take the pictures of the README from the demo, and put them into this `directory`")

// TestPicture is "make page-picture": two pictures of the demo's page, in both themes, while connections fly from lane to
// lane.
func TestPicture(t *testing.T) {
	if *picture == "" {
		t.Skip("-picture names no directory")
	}
	for name, l := range map[string]look{"page": {width: 1200, height: 800}, "page-dark": {width: 1200, height: 800, dark: true}} {
		must.Do(t, os.WriteFile(filepath.Join(*picture, name+".png"), takePicture(t, l), 0o600))
		must.Do(t, os.Chmod(filepath.Join(*picture, name+".png"), 0o644))
	}
}

func takePicture(t *testing.T, as look) []byte {
	demo := filepath.Join(shortDir(t), "demo")
	proctest.Build(t, demo, "github.com/gracex-go/gracex/examples/demo")
	cmd := exec.Command(demo, "-ui", "-every", "16s")
	out := must.Get(os.Create(demo + ".out"))(t)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	must.Do(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
	}()
	url := ""
	proctest.Await(t, "the demo prints the address", func() bool {
		_, rest, _ := strings.Cut(string(must.Get(os.ReadFile(out.Name()))(t)), "shown at ")
		var whole bool
		url, _, whole = strings.Cut(rest, "\n")
		return whole
	})
	p := open(t, url, as)
	// Most of the connections have moved in this moment, and their dots are on the way.
	p.await(has("#summary", "v1.2.0") + ` && /[23][0-9] moved here/.test(document.querySelector("#lanes").textContent) && ` +
		there(lane("current")) + " && !" + there(lane("on_probation")))
	time.Sleep(250 * time.Millisecond) // they fly
	defer p.clean()
	return p.shoot("picture", false)
}
