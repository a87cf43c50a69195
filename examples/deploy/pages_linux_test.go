package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// pages is where the pages are.
const pages = "../../docs/"

// commands are the lines of a page's indented blocks that begin with one of these words, in their order.
func commands(t *testing.T, page string) (lines []string) {
	t.Helper()
	for line := range strings.Lines(string(must.Get(os.ReadFile(pages + page))(t))) {
		text, indented := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "    ")
		if word, _, _ := strings.Cut(text, " "); indented && (word == "gracex" || word == "mkdir" || strings.HasPrefix(word, "examples/") || strings.HasPrefix(word, "GRACEX_FLAGS=")) {
			lines = append(lines, text)
		}
	}
	if len(lines) == 0 {
		t.Fatalf("%s has no commands", page)
	}
	return lines
}

// runPage runs the commands of a page, each one with what belongs to this host in the place of the page's. before is
// told of each one; it reports false for one that it has seen to itself.
func (h *host) runPage(page string, before func(line string) bool) {
	h.t.Helper()
	url := h.offer(h.dir + "/public")
	names := strings.NewReplacer("/run/shop/control.sock", h.socket(), "/run/shop.pid", h.run+"/shop.pid",
		"/srv/shop", h.app, "https://dl.example.org/shop/stable", url, "examples/deploy/", must.Get(os.Getwd())(h.t)+"/")
	for _, line := range commands(h.t, page) {
		h.t.Log(line)
		if line := names.Replace(line); before(line) {
			h.sh(0, line)
		}
	}
}

// TestReleasesPage: a service begins with a release, and then with a plain file.
func TestReleasesPage(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	program(t, h.dir+"/shop", "1", "serves")
	program(t, h.dir+"/shop-1.5.0", "2", "serves")
	program(t, h.dir+"/shop-1.6.0", "3", "serves")
	h.published("4", "1.7.0")
	h.runPage("releases.md", func(line string) bool {
		switch {
		case strings.Contains(line, "--adopt"): // it is another service
			if id := must.Get(os.Readlink(h.app + "/current"))(t); !strings.HasPrefix(id, "releases/") {
				t.Errorf("%s is current", id)
			}
			must.Do(t, os.RemoveAll(h.app))
			program(t, h.app+"/shop", "1", "serves")
			h.start("shop")
		case strings.HasPrefix(line, "gracex back"):
			h.wantCurrent("1.6.0")
		case strings.HasPrefix(line, "gracex history"):
			h.wantCurrent("1.5.0")
		}
		return true
	})
	h.wantCurrent("1.7.0")
}

// published has a release in the folder public, and its key at keys/release.pub and release.pub.
func (h *host) published(mark, version string) {
	h.t.Helper()
	if _, err := os.Stat(h.dir + "/keys"); err != nil {
		h.sh(0, "gracex release keygen -o keys && cp keys/release.pub .")
	}
	must.Do(h.t, os.RemoveAll(h.dir+"/dist"))
	program(h.t, h.dir+"/dist/shop_linux_amd64", mark, "serves")
	h.sh(0, "gracex release publish dist --name shop --version "+version+" --key keys/release.key -o public")
}

// TestFollowingPage follows in each place.
func TestFollowingPage(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.published("2", "1.5.0")
	h.service()
	h.runPage("following.md", func(line string) bool {
		switch {
		case strings.HasSuffix(line, "--once"):
			h.published("4", "1.6.0")
		case strings.HasPrefix(line, "gracex follow"):
			f := proctest.Start(t, h.cmd("bash", "-c", "exec "+line+" --every 1s"))
			f.Await("1.5.0 is current", func() bool { return strings.Contains(f.Log.String(), "release: current\" release=1.5.0-") })
			h.wantCurrent("1.5.0")
			f.Signal(f.PID(), os.Interrupt)
			f.AwaitEnd()
			return false
		case strings.HasPrefix(line, "gracex run"):
			h.sh(0, "gracex stop --socket "+h.socket())
			h.shop.AwaitEnd()
			h.published("3", "1.7.0")
			line, shop, _ := strings.Cut(line, " -- ")
			h.shop = proctest.Start(t, h.cmd("bash", "-c", "exec "+line+" --every 1s -- "+shop+" -addr $ADDR -probation 50ms"))
			h.shop.Await("1.7.0 is current", func() bool { return strings.Contains(h.shop.Log.String(), "release: current\" release=1.7.0-") })
			h.wantCurrent("1.7.0")
			h.awaitUnlocked()
			return false
		}
		return true
	})
	h.wantCurrent("1.7.0")
}

// awaitUnlocked waits until no deploy runs: the follower removes old releases yet.
func (h *host) awaitUnlocked() {
	h.t.Helper()
	lock := must.Get(os.Open(h.app + "/lock"))(h.t)
	defer lock.Close()
	proctest.Await(h.t, "the deploy is over", func() bool {
		return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
	})
}

// TestDeployPage runs the recipes as the page has them, for a service that runs from a plain file.
func TestDeployPage(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	program(t, h.app+"/shop", "1", "serves")
	h.start("shop")
	h.install("ssh", `[ "$1" != -n ] || { shift; exec </dev/null; }
shift; exec sh -c "$*"`)
	h.install("scp", `exec cp "$2" "${3#*:}"`)
	program(t, h.dir+"/shop", "2", "serves")
	h.runPage("deploy.md", func(line string) bool {
		switch {
		case strings.Contains(line, "--in-place"): // it is another service
			h.wantCurrent("1.5.0")
			h.sh(0, "gracex stop --socket "+h.socket())
			h.shop.AwaitEnd()
			must.Do(t, os.RemoveAll(h.app))
			program(t, h.app+"/shop", "1", "serves")
			h.start("shop")
		case strings.Contains(line, "/deploy.sh"):
			if is, want := must.Get(os.ReadFile(h.app+"/shop"))(t), must.Get(os.ReadFile(h.dir+"/shop"))(t); !bytes.Equal(is, want) {
				t.Error("the plain file is not the new one")
			}
			h.sh(0, "gracex deploy ./shop --adopt --version 1.5.0 --pid-file "+h.run+"/shop.pid")
			h.wantCurrent("1.5.0")
			program(t, h.dir+"/shop", "3", "serves")
		case strings.Contains(line, "/switch.sh"):
			h.wantCurrent("1.6.0")
			program(t, h.app+"/releases/20261130120000/shop", "4", "serves")
		}
		return true
	})
	h.wantCurrent("20261130120000")
}

// TestExitStatuses is the table of docs/releases.md: what was deployed is not current, and the service serves on.
func TestExitStatuses(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.service()
	h.published("2", "1.1.0")
	url := h.offer(h.dir + "/public")
	deploy := func(what string) string { return "gracex deploy " + what + " --socket " + h.socket() }
	for name, behaves := range map[string]string{"good": "serves", "exits": "exits", "panics": "panics"} {
		program(t, h.dir+"/"+name, name, behaves)
	}
	ls := must.Get(exec.LookPath("ls"))(t)
	for _, row := range []struct {
		status int
		says   string
		script string
	}{
		{2, "accepts 1 arg", deploy("a b")},
		{2, "give --key", deploy(url)},
		{2, "no such file", deploy("./none")},
		{3, "no gracex app", "gracex deploy good --socket " + h.run + "/none"},
		{7, "no Go program", deploy(ls)},
		{7, "for \"shop\" and not for \"other\"", deploy(url + " --name other --key release.pub")},
		{7, "no key that is configured", "gracex release keygen --name other && " + deploy(url+" --key other.pub")},
		{8, "neither release.json nor SHA256SUMS", deploy(url + "/none --key release.pub")},
		{8, "refused", deploy("http://" + proctest.FreeAddr(t) + " --key release.pub")},
		{1, "unknown key", deploy("exits --version 1.2.0")},
		{7, "was taken back at", deploy("exits --version 1.2.1")},
		{5, "a bug", deploy("panics --version 1.3.0")},
	} {
		if out := h.sh(row.status, row.script); !strings.Contains(out, row.says) {
			t.Errorf("%s says nothing of %q:\n%s", row.script, row.says, out)
		}
		h.wantCurrent("1.0.0")
	}
	busy := h.cmd("flock", "--nonblock", h.app+"/lock", "bash", "-c", deploy("good"))
	out, _ := busy.CombinedOutput()
	if busy.ProcessState.ExitCode() != 4 || !bytes.Contains(out, []byte("another deploy")) {
		t.Errorf("beside another deploy: %v\n%s", busy.ProcessState, out)
	}
	out2 := h.sh(0, deploy("good --version 1.4.0")+" --json")
	if !strings.Contains(out2, `"kind":"outcome"`) {
		t.Errorf("%s", out2)
	}
	h.wantCurrent("1.4.0")
	h.sh(0, deploy("good --version 1.4.0"))
	must.Do(t, os.WriteFile(filepath.Join(h.app, "state.json"), []byte("{"), 0o644))
	h.sh(8, deploy("good --version 1.4.0"))
	h.sh(0, "gracex recover --repair --socket "+h.socket())
	h.sh(0, deploy("good --version 1.4.0"))
	deploytest.MustPost(t, h.addr, "/", "")
}

// TestFollowingPage_Program: the lines for a program are right Go. A look at the types is enough, because the tests of
// package release follow.
func TestFollowingPage_Program(t *testing.T) {
	t.Parallel()
	page := string(must.Get(os.ReadFile(pages + "following.md"))(t))
	_, page, _ = strings.Cut(page, "```go\n")
	lines, _, found := strings.Cut(page, "```\n")
	if !found {
		t.Fatal("following.md has no lines for a program")
	}
	source := must.Get(filepath.Abs("../oneline/main.go"))(t)
	changed, overlay := filepath.Join(t.TempDir(), "main.go"), filepath.Join(t.TempDir(), "overlay.json")
	must.Do(t, os.WriteFile(changed, []byte(`package main

import (
	"log"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/ginx"
	"github.com/gracex-go/gracex/release"
)

func main() {
	r := gin.New()
`+lines+`	log.Print(err)
}
`), 0o644))
	must.Do(t, os.WriteFile(overlay, must.Get(json.Marshal(map[string]any{"Replace": map[string]string{source: changed}}))(t), 0o644))
	if out, err := exec.Command("go", "vet", "-overlay", overlay, "../oneline/main.go").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
