package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/publish"
)

// build writes the app of the tests of package release to a file. It behaves so, and differs from the other builds.
func build(t *testing.T, path, behaviour string, number int) string {
	t.Helper()
	built := filepath.Join(t.TempDir(), "shop")
	proctest.Build(t, built, "../../release/testdata/shop")
	b := must.Get(os.ReadFile(built))(t)
	for from, to := range map[string]string{
		"gracex-test-behaviour:good.....": "gracex-test-behaviour:" + behaviour + strings.Repeat(".", 9-len(behaviour)),
		"gracex-test-build:0000":          fmt.Sprintf("gracex-test-build:%04d", number),
	} {
		if len(from) != len(to) || !bytes.Contains(b, []byte(from)) {
			t.Fatalf("%q can't become %q", from, to)
		}
		b = bytes.ReplaceAll(b, []byte(from), []byte(to))
	}
	must.Do(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must.Do(t, proctest.WriteProgram(path, string(b)))
	return path
}

// store is a site whose app is started from releases, in srv.
type store struct {
	*site
	addr string
}

// newStore makes one in which build 1 is installed as version 1.0.0.
func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{newSite(t), proctest.FreeAddr(t)}
	must.Do(t, os.Mkdir(s.path("srv"), 0o755))
	s.expect(control.ExitOK, []string{"current", "installed without a trial"}, "deploy", s.build("good", 1), "--version", "1.0.0", "--install", "--dir", s.path("srv/shop"))
	return s
}

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

// build is the path of such a build.
func (s *store) build(behaviour string, number int) string {
	s.t.Helper()
	return build(s.t, s.path(fmt.Sprintf("builds/%d/shop", number)), behaviour, number)
}

// launch starts the app by itself.
func (s *store) launch(program string, flags ...string) {
	s.t.Helper()
	app := append([]string{program, "-addr", s.addr, "-pid-file", s.path("app.pid")}, flags...)
	s.app = proctest.Start(s.t, &exec.Cmd{Path: program, Args: app, Dir: s.dir, Env: s.env("gracex")})
	s.app.AwaitPID(s.path("app.pid"), 0)
}

// supervise starts the app under gracex run.
func (s *store) supervise(program string, flags ...string) {
	s.t.Helper()
	args := slices.Concat([]string{"gracex", "run", "--min-backoff", "1ms", "--", program, "-addr", s.addr, "-pid-file", s.path("app.pid")}, flags)
	s.app = proctest.Start(s.t, &exec.Cmd{Path: must.Get(os.Executable())(s.t), Args: args, Dir: s.dir, Env: s.env("gracex")})
	s.app.AwaitPID(s.path("app.pid"), 0)
	s.app.Await("the app serves", func() bool { return s.serves() != "" })
}

// serves is the build that accepts connections, empty for none. It does not ask on one from before: the old process
// answers on that until it has moved.
func (s *store) serves() string {
	req := must.Get(http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.addr, nil))(s.t)
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(resp.Body)
	_, n, _ := strings.Cut(strings.TrimSpace(string(b)), ":")
	return strings.TrimLeft(n, "0")
}

// current is the version that the next start gets.
func (s *store) current() string {
	s.t.Helper()
	_, current, err := release.ReadState(s.path("srv"))
	must.Do(s.t, err)
	version, _, _ := strings.Cut(current, "-")
	return version
}

// expectRuns checks what serves, and what the next start gets.
func (s *store) expectRuns(build, version string) {
	s.t.Helper()
	if b, v := s.serves(), s.current(); b != build || v != version {
		s.t.Errorf("build %s serves, and the next start gets %s; want %s and %s", cmp.Or(b, "none"), cmp.Or(v, "none"), build, version)
	}
}

// picture is all that a deploy can change: what runs, what is known, and what is there.
func (s *store) picture() string {
	s.t.Helper()
	var b strings.Builder
	var st control.Status
	_ = json.Unmarshal([]byte(s.gracex("status", "--json").out), &st)
	for _, g := range st.Generations {
		fmt.Fprintln(&b, "process", g.PID, g.State)
	}
	must.Do(s.t, filepath.Walk(s.path("srv"), func(path string, fi os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(s.dir, path)
		switch {
		case strings.HasPrefix(name, "srv/incoming/"): // a part is resumed
		case slices.Contains([]string{"srv/lock", "srv/history.jsonl"}, name):
		case name == "srv/state.json":
			fmt.Fprintf(&b, "%s", must.Get(os.ReadFile(path))(s.t))
		case fi.Mode()&os.ModeSymlink != 0:
			fmt.Fprintln(&b, name, must.Get(os.Readlink(path))(s.t))
		default:
			fmt.Fprintln(&b, name, fi.Mode(), map[bool]int64{true: fi.Size()}[fi.Mode().IsRegular()])
		}
		return nil
	}))
	return b.String()
}

// publisher makes signed releases.
type publisher struct {
	*store
	dir string // of the folder
	key string // file of the public key
}

// publisher returns one with a key of its own, which has no password.
func (s *store) publisher(name string) *publisher {
	s.t.Helper()
	key := must.Get(publish.NewKey())(s.t)
	must.Do(s.t, os.MkdirAll(s.path(name), 0o755))
	_, public, err := key.Write(s.path(name), "release", "")
	must.Do(s.t, err)
	return &publisher{s, s.path(name + "/public"), public}
}

// publish publishes a build, by the command.
func (p *publisher) publish(version, behaviour string, number int, flags ...string) {
	p.t.Helper()
	bin := p.path(fmt.Sprintf("bin/%d", number))
	build(p.t, filepath.Join(bin, "shop_"+runtime.GOOS+"_"+runtime.GOARCH), behaviour, number)
	p.expect(control.ExitOK, nil, slices.Concat([]string{"release", "publish", bin, "--key", strings.TrimSuffix(p.key, ".pub") + ".key", "--name", "shop",
		"--version", version, "-o", p.dir}, flags)...)
}

// awaitLine waits until a command has written a line with this text at its begin. What comes behind it, up to the end, is on the
// channel.
func awaitLine(t *testing.T, from io.Reader, begins string) (rest <-chan []byte) {
	t.Helper()
	return await(t, from, begins, strings.HasPrefix)
}

// awaitText is awaitLine for a text anywhere in a line.
func awaitText(t *testing.T, from io.Reader, text string) (rest <-chan []byte) {
	t.Helper()
	return await(t, from, text, strings.Contains)
}

func await(t *testing.T, from io.Reader, text string, in func(line, text string) bool) (rest <-chan []byte) {
	t.Helper()
	r := bufio.NewReader(from)
	var all strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("it ended before %q: %s", text, &all)
		}
		if all.WriteString(line); in(line, text) {
			break
		}
	}
	c := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(r)
		c <- b
	}()
	return c
}
