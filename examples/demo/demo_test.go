//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// The demo as a user runs it, from go build to the last process.
func TestDemo(t *testing.T) {
	t.Parallel()
	cmd := demo(t, "-for", "3s", "-usual", "2s", "-clients", "8", "-fresh", "2")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, &stderr)
	}
	gracex, usual := column(t, string(out), 1), column(t, string(out), 2)
	if gracex["requests"] == 0 || gracex["upgrades"] == 0 || gracex["lost"] != 0 {
		t.Errorf("gracex: %v", gracex)
	}
	if usual["requests"] == 0 || usual["upgrades"] == 0 {
		t.Errorf("usual recipe: %v", usual)
	}
	if !strings.Contains(string(out), "gracex: nothing lost\n") {
		t.Error("no word on gracex")
	}
	nothingLeft(t, cmd, string(out))
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// An interrupt brings the table of what there is, and ends every process.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	cmd := demo(t, "-for", "1h", "-every", "500ms", "-clients", "4", "-fresh", "1")
	cmd.Stderr = os.Stderr
	pipe := must.Get(cmd.StdoutPipe())(t)
	must.Do(t, cmd.Start())
	lost := time.AfterFunc(5*time.Minute, func() { cmd.Process.Kill() }) // the demo builds its server first
	defer lost.Stop()
	var out strings.Builder
	interrupted := false
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		out.WriteString(lines.Text() + "\n")
		if !interrupted && strings.Contains(lines.Text(), ": upgrade ") {
			interrupted = true
			cmd.Process.Signal(os.Interrupt)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if got := column(t, out.String(), 1); got["upgrades"] == 0 || got["lost"] != 0 {
		t.Errorf("%v\n%s", got, &out)
	}
	nothingLeft(t, cmd, out.String())
}

// With -ui the demo prints the address of a page, which shows one version after the other.
func TestDemoShown(t *testing.T) {
	t.Parallel()
	cmd := demo(t, "-ui", "-every", "6s", "-clients", "4", "-fresh", "1")
	cmd.Stderr = os.Stderr
	pipe := must.Get(cmd.StdoutPipe())(t)
	must.Do(t, cmd.Start())
	lost := time.AfterFunc(5*time.Minute, func() { cmd.Process.Kill() }) // the demo builds its server first
	defer lost.Stop()
	var out strings.Builder
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		out.WriteString(lines.Text() + "\n")
		if _, url, found := strings.Cut(lines.Text(), "gracex: shown at "); found {
			addr, token, _ := strings.Cut(url, "#token=")
			for _, version := range []string{"v1.0.0", "v1.1.0"} {
				awaitVersion(t, addr, token, version)
			}
			cmd.Process.Signal(os.Interrupt)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if got := column(t, out.String(), 1); got["lost"] != 0 {
		t.Errorf("%v\n%s", got, &out)
	}
	nothingLeft(t, cmd, out.String())
}

// awaitVersion waits until the page shows a process of this version.
func awaitVersion(t *testing.T, addr, token, version string) {
	t.Helper()
	proctest.Await(t, version+" is shown", func() bool {
		req := must.Get(http.NewRequest(http.MethodGet, addr+"state", nil))(t)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var shown struct{ Status control.Status }
		_ = json.NewDecoder(resp.Body).Decode(&shown)
		return slices.ContainsFunc(shown.Status.Generations, func(g control.Generation) bool { return g.Version == version })
	})
}

// demo builds the demo and returns the command that runs it in a temporary directory of its own.
func demo(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	return cmd
}

// column reads the numbers of one column of the table, by the titles of the rows.
func column(t *testing.T, out string, i int) map[string]int {
	t.Helper()
	_, table, found := strings.Cut(out, "\n|---")
	if !found {
		t.Fatalf("no table in\n%s", out)
	}
	numbers := map[string]int{}
	clean := strings.NewReplacer("*", "", ",", "")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(clean.Replace(line), "|\n"), "|")
		if i < len(cells) {
			if n, err := strconv.Atoi(strings.TrimSpace(cells[i])); err == nil {
				numbers[strings.TrimSpace(cells[0])] = n
			}
		}
	}
	return numbers
}

// nothingLeft checks that the demo has ended every process that it started and removed every file.
func nothingLeft(t *testing.T, cmd *exec.Cmd, out string) {
	t.Helper()
	_, dir, _ := strings.Cut(cmd.Env[len(cmd.Env)-1], "=")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
	pids := regexp.MustCompile(`pid (\d+) serves`).FindAllStringSubmatch(out, -1)
	if len(pids) == 0 {
		t.Errorf("no pid in\n%s", out)
	}
	if runtime.GOOS == "linux" {
		// Every process whose program was in the directory, seen or not. A zombie has no program any more.
		files, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, file := range files {
			if exe, err := os.Readlink(file); err == nil && strings.HasPrefix(exe, dir) {
				t.Errorf("still there: %s is %s", filepath.Dir(file), exe)
			}
		}
		return
	}
	for _, match := range pids {
		if pid, _ := strconv.Atoi(match[1]); syscall.Kill(pid, 0) == nil {
			t.Errorf("still there: pid %d", pid)
		}
	}
}
