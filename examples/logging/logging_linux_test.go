package logging_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

func TestMain(m *testing.M) { exampletest.Main(m, nil) } // it plays no example

// upgrades is how often each program is upgraded.
const upgrades = 5

// line is a line of a log.
type line map[string]any

// library is how a library writes what slog has given it.
type library struct {
	level, message, when string // keys
	nested               bool   // the attributes of a group are in an object, and else have its name and a dot before theirs
}

// TestLibraries_WriteTheLinesOfGracex in their own format, with the level and all attributes, through upgrades under load.
func TestLibraries_WriteTheLinesOfGracex(t *testing.T) {
	t.Parallel()
	for name, lib := range map[string]library{
		"zap":     {level: "level", message: "msg", when: "ts", nested: true},
		"zerolog": {level: "level", message: "message", when: "time"},
		"logrus":  {level: "level", message: "msg", when: "time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), name)
			proctest.Build(t, file, "./"+name)
			p := startFile(t, file)
			pids := []int{p.PID()}
			n := underLoad(t, p, 0, func(int) { pids = append(pids, p.PID()) })
			refuse(t, p, file)
			p.Stop()

			lines := parse(t, strings.Replace(p.Log.String(), noDatabase+"\n", "", 1)) // it is no program's with this library
			if got := requests(t, lines); got != n {
				t.Errorf("the log has %d requests, and %d were answered", got, n)
			}
			lib.check(t, lines, pids)
		})
	}
}

// noDatabase is what a bad version writes to its stderr.
const noDatabase = "no database"

// refuse has a new version end before it is ready.
func refuse(t *testing.T, p *exampletest.Program, file string) {
	t.Helper()
	must.Do(t, proctest.WriteProgram(file+".bad", "#!/bin/sh\necho '"+noDatabase+"' >&2\nexit 7\n"))
	must.Do(t, os.Rename(file+".bad", file))
	p.Signal(syscall.SIGUSR2)
	p.AwaitLog("upgrade failed", 1)
}

// check looks at the lines of gracex, of processes with these numbers.
func (lib library) check(t *testing.T, lines []line, pids []int) {
	t.Helper()
	upgraded := lib.with(lines, "upgraded")
	ended := lib.with(lines, "generation ended")
	failed := lib.with(lines, "upgrade failed; this process serves on")
	if len(upgraded) != upgrades || len(ended) != upgrades+1 || len(failed) != 1 {
		t.Fatalf("%d upgraded, %d generations ended, %d failed: %v", len(upgraded), len(ended), len(failed), lines)
	}
	for i, l := range upgraded {
		l.wants(t, lib.level, "info")
		l.wants(t, "generation", float64(i))
		l.wants(t, "own_pid", float64(pids[i]))
		l.wants(t, "new_pid", float64(pids[i+1]))
		if took, err := time.ParseDuration(l.text("took")); err != nil || took <= 0 {
			t.Errorf("%v: took: %v", l, err)
		}
		if l[lib.when] == nil {
			t.Errorf("%v has no %s", l, lib.when)
		}
	}
	for _, l := range ended {
		l.wants(t, lib.level, "info")
		served, _ := l["ledger.served"].(float64)
		if ledger, ok := l["ledger"].(map[string]any); ok == lib.nested && ok {
			served, _ = ledger["served"].(float64)
		}
		if served <= 0 {
			t.Errorf("%v has no requests in its ledger", l)
		}
	}
	l := failed[0]
	l.wants(t, lib.level, "error")
	if stderr, _ := l["stderr"].([]any); len(stderr) != 1 || stderr[0] != noDatabase || !strings.Contains(l.text("error"), "exit status 7") {
		t.Errorf("%v: error %q, stderr %q", l, l.text("error"), l["stderr"])
	}
	for _, l := range lines {
		if l["stacktrace"] != nil {
			t.Errorf("a stack of gracex itself: %v", l)
		}
	}
}

func (lib library) with(lines []line, message string) []line {
	return slices.DeleteFunc(slices.Clone(lines), func(l line) bool { return l.text(lib.message) != message })
}

func (l line) text(key string) string {
	s, _ := l[key].(string)
	return s
}

func (l line) wants(t *testing.T, key string, want any) {
	t.Helper()
	if l[key] != want {
		t.Errorf("%v: %s is %v, want %v", l, key, l[key], want)
	}
}

// TestLumberjack_LosesNoLine though two processes write during each upgrade, and files are full all the time.
func TestLumberjack_LosesNoLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "lumberjack")
	proctest.Build(t, file, "./lumberjack")
	log := filepath.Join(dir, "app.log")
	p := startFile(t, file, "-log", log, "-log-size", "1")
	n := underLoad(t, p, 2048, func(i int) {
		p.Await("a file is full", func() bool { return len(logs(t, dir)) > i+1 })
	})
	p.Stop()
	checkFiles(t, dir, n)
	if files := len(logs(t, dir)); files < upgrades+1 {
		t.Errorf("%d files, want more than an upgrade each", files)
	}
}

// TestReopen_LosesNoLine though the file is renamed again and again while two processes write to it.
func TestReopen_LosesNoLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "reopen")
	proctest.Build(t, file, "./reopen")
	log := filepath.Join(dir, "app.log")
	p := startFile(t, file, "-log", log)
	rename := func(i int) {
		must.Do(t, os.Rename(log, filepath.Join(dir, "app-"+strconv.Itoa(i)+".log")))
		p.Signal(syscall.SIGUSR1)
		p.Await("a request in the new file", func() bool {
			b, _ := os.ReadFile(log)
			return bytes.Contains(b, []byte(`"msg":"request"`))
		})
	}
	n := underLoad(t, p, 0, rename)
	p.Stop()
	checkFiles(t, dir, n)
	if files := len(logs(t, dir)); files != upgrades+1 {
		t.Errorf("%d files, want %d", files, upgrades+1)
	}
}

// TestPage_HasTheLinesOfTheExamples: each block of docs/logging.md that names one has lines of it, in their order.
func TestPage_HasTheLinesOfTheExamples(t *testing.T) {
	t.Parallel()
	page := string(must.Get(os.ReadFile("../../docs/logging.md"))(t))
	named := map[string]bool{}
	for _, block := range strings.Split(page, "```go\n// examples/logging/")[1:] {
		block, _, _ = strings.Cut(block, "\n```")
		name, code, _ := strings.Cut(block, "\n")
		named[name] = true
		from := strings.Split(string(must.Get(os.ReadFile(filepath.Join(name, "main.go")))(t)), "\n")
		for line := range strings.Lines(code) {
			line = strings.TrimSpace(line)
			at := slices.IndexFunc(from, func(l string) bool { return strings.TrimSpace(l) == line })
			if at < 0 {
				t.Errorf("%s has no line %q there", name, line)
				break
			}
			from = from[at+1:]
		}
	}
	for _, dir := range must.Get(filepath.Glob("*/main.go"))(t) {
		if name := filepath.Dir(dir); !named[name] {
			t.Errorf("the page has no line of %s", name)
		}
	}
}

// startFile starts a program with the flags that each example has.
func startFile(t *testing.T, file string, args ...string) *exampletest.Program {
	t.Helper()
	return exampletest.StartFile(t, file, func(addr, pidfile string) []string {
		return append(args, "-addr", addr, "-pidfile", pidfile, "-drain", "40s", "-probation", "0")
	})
}

// underLoad upgrades the program while clients ask, calls between after each upgrade, and returns how many requests were
// answered. No client may notice anything.
func underLoad(t *testing.T, p *exampletest.Program, body int, between func(i int)) int {
	t.Helper()
	config := load.Config{Addr: p.Addr, Clients: 8, Fresh: 2, Think: time.Millisecond, Timeout: proctest.Patience, BodySize: body}
	slow := config
	slow.Path, slow.Think = "/?d=100ms", 0 // so that each old process still logs when the new one has begun to
	runs := []*load.Run{load.Start(config), load.Start(slow)}
	for _, run := range runs {
		defer run.Stop()
	}
	p.AwaitLoad(runs...)
	for i := range upgrades {
		p.Upgrade(syscall.SIGUSR2)
		p.AwaitLoad(runs...)
		between(i + 1)
	}
	n := 0
	for _, run := range runs {
		r := run.Stop()
		if r.Failed != 0 || r.Reconnects != 0 || len(r.Served) != upgrades+1 {
			t.Errorf("want none failed, no reconnect and %d processes: %v", upgrades+1, r)
		}
		n += r.Requests
	}
	return n
}

// logs are the files of the log, the old ones too.
func logs(t *testing.T, dir string) []string {
	t.Helper()
	return must.Get(filepath.Glob(filepath.Join(dir, "app*.log")))(t)
}

// checkFiles looks for each of n requests and for each line of gracex in the files of the log.
func checkFiles(t *testing.T, dir string, n int) {
	t.Helper()
	var lines []line
	for _, name := range logs(t, dir) {
		lines = append(lines, parse(t, string(must.Get(os.ReadFile(name))(t)))...)
	}
	if got := requests(t, lines); got != n {
		t.Errorf("the log has %d requests, and %d were answered", got, n)
	}
	lib := library{message: "msg"}
	if up, end := len(lib.with(lines, "upgraded")), len(lib.with(lines, "generation ended")); up != upgrades || end != upgrades+1 {
		t.Errorf("%d upgraded and %d generations ended, want %d and %d", up, end, upgrades, upgrades+1)
	}
}

// requests counts the requests in the log by the tag in their bodies. Each is there once.
func requests(t *testing.T, lines []line) int {
	t.Helper()
	seen := map[string]int{}
	for _, l := range lines {
		if body := l.text("body"); body != "" {
			seen[load.TagOf(new(http.Request), []byte(body))]++
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(seen)) {
		if seen[tag] != 1 {
			t.Errorf("the log has %q %d times", tag, seen[tag])
		}
	}
	return len(seen)
}

// parse reads lines of which each is an object.
func parse(t *testing.T, text string) (lines []line) {
	t.Helper()
	in := bufio.NewScanner(strings.NewReader(text))
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			t.Errorf("%q: %v", in.Text(), err)
			continue
		}
		lines = append(lines, l)
	}
	must.Do(t, in.Err())
	return lines
}
