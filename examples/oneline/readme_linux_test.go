package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// TestREADME_OneLineIsEnough runs the program with the lines of the README in the place of its own, and upgrades it by
// the signal of the README.
func TestREADME_OneLineIsEnough(t *testing.T) {
	t.Parallel()
	w := &watcher{t: t, dir: t.TempDir(), addr: proctest.FreeAddr(t)}
	w.app = filepath.Join(w.dir, "oneline")
	w.exe, w.top = w.app, func() int { return w.PID() }
	source := must.Get(filepath.Abs("main.go"))(t)
	changed, overlay := filepath.Join(w.dir, "main.go"), filepath.Join(w.dir, "overlay.json")
	must.Do(t, os.WriteFile(changed, []byte(asInREADME(t, source)), 0o644))
	replace := map[string]map[string]string{"Replace": {source: changed}}
	must.Do(t, os.WriteFile(overlay, must.Get(json.Marshal(replace))(t), 0o644))
	proctest.Build(t, w.app, program, "-overlay", overlay)
	script(w)
	kill := w.signal
	w.signal = func(sig syscall.Signal) {
		if sig == syscall.SIGHUP {
			sig = syscall.SIGUSR2
		}
		kill(sig)
	}
	w.goesThrough("0")
}

// asInREADME is the program with the line that the README's diff adds, and with the lines that it has for the error.
func asInREADME(t *testing.T, source string) string {
	t.Helper()
	readme := string(must.Get(os.ReadFile("../../README.md"))(t))
	line := strings.Replace(between(t, readme, "\n+", "\n"), `":8080"`, `os.Getenv("ADDR")`, 1)
	block := between(t, readme, "```go\n", "```\n")
	chinese := string(must.Get(os.ReadFile("../../README.zh-CN.md"))(t))
	if between(t, chinese, "\n+", "\n") != between(t, readme, "\n+", "\n") || between(t, chinese, "```go\n", "```\n") != block {
		t.Error("README.zh-CN.md has other lines than README.md")
	}
	text := string(must.Get(os.ReadFile(source))(t))
	main := between(t, text, "func main() {\n", "\t// It was:")
	return `package main

import (
	"errors"
	"log"
	"log/slog"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
	"github.com/gracex-go/gracex/ginx"
)

func main() {
` + main + line + "\n" + block + "}\n"
}

// between is the text between the first start and the end after it.
func between(t *testing.T, text, start, end string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, start)
	inner, _, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("nothing is between %q and %q", start, end)
	}
	return inner
}
