//go:build linux

package overseer_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"aead.dev/minisign"

	"github.com/gracex-go/gracex/core/compat/internal/compattest"
	"github.com/gracex-go/gracex/core/compat/overseer"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/minisigntest"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/release"
)

func TestMain(m *testing.M) { os.Exit(proctest.Main(m)) }

// good is what is wrong with a version that is good.
const good = "nothing"

// site is a directory with the program, and an origin that publishes versions of it.
type site struct {
	t       *testing.T
	dir     string
	program []byte // without its last line
	*compattest.Program
	origin *origin
}

func newSite(t *testing.T) *site {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	must.Do(t, os.Chmod(dir, 0o755))
	built := compattest.Build(t, "app")
	s := &site{t: t, dir: dir, program: must.Get(os.ReadFile(built))(t)}
	must.Do(t, proctest.WriteProgram(s.path("app"), string(s.version("1", good))))
	s.origin = newOrigin(t)
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// version is a program of its own. A loader does not look at what is behind its sections.
func (s *site) version(id, wrong string) []byte {
	return append(bytes.Clone(s.program), fmt.Sprintf("\n%30s\n", id+" "+wrong)...)
}

func (s *site) start(args ...string) {
	s.t.Helper()
	s.Program = compattest.Start(s.t, s.path("app"), 1, args...)
}

// signal signals the process that serves. compattest knows it by the log, which does not tell of a way back.
func (s *site) signal(sig os.Signal) {
	s.t.Helper()
	s.Program.Program.Signal(must.Get(strconv.Atoi(s.ask("/pid")))(s.t), sig)
}

// restart upgrades by the signal.
func (s *site) restart() {
	s.t.Helper()
	n := s.Log.Count("INFO current ")
	s.signal(syscall.SIGUSR2)
	s.AwaitLog("INFO current ", n+1)
}

// ask asks the app, and returns what it answers.
func (s *site) ask(path string) string {
	s.t.Helper()
	return must.Get(load.Ask(load.Config{Addr: s.Addr, Method: http.MethodGet, Path: path}, ""))(s.t).Body
}

func (s *site) expect(id string) {
	s.t.Helper()
	if got := s.ask("/"); !strings.HasPrefix(got, "app#"+id+" ") {
		s.t.Errorf("%q answers, want version %s", got, id)
	}
}

// put puts a program at a path by a rename.
func (s *site) put(name string, program []byte) {
	s.t.Helper()
	must.Do(s.t, proctest.WriteProgram(s.path(name+".tmp"), string(program)))
	must.Do(s.t, os.Rename(s.path(name+".tmp"), s.path(name)))
}

// current is the SHA-256 of what the next start gets.
func (s *site) current() string {
	s.t.Helper()
	return sum(must.Get(os.ReadFile(s.path("app")))(s.t))
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// stops checks that the app stops as it should.
func (s *site) stops() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	if status := s.AwaitEnd(); status != 0 {
		s.t.Errorf("exit status %d", status)
	}
	if strings.Contains(s.Log.String(), "it does not shut down gracefully") {
		s.t.Error("GracefulShutdown was open when Serve returned")
	}
}

// origin is a web server with one file at every path, and its signature.
type origin struct {
	*httptest.Server
	mu              sync.Mutex
	file, signature []byte
	published       int // times
	heads, gets     int
	cut             bool // the next answer
}

func newOrigin(t *testing.T) *origin {
	o := &origin{}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	file, signature, tag, cut := o.file, o.signature, o.published, false
	switch {
	case strings.HasSuffix(r.URL.Path, ".minisig"):
		file = signature
	case r.Method == http.MethodHead:
		o.heads++
	default:
		o.gets++
		cut, o.cut = o.cut, false
	}
	o.mu.Unlock()
	if file == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprint(tag)))
	w.Header().Set("Content-Length", fmt.Sprint(len(file)))
	if cut {
		file = file[:len(file)/2]
	}
	w.Write(file)
}

func (o *origin) publish(file []byte, signature []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.file, o.signature = file, signature
	o.published++
}

func (o *origin) counts() (heads, gets int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.heads, o.gets
}

// lookedAgain waits until the origin was asked some more times, and returns how many programs were got.
func (s *site) lookedAgain() (gets int) {
	s.t.Helper()
	before, _ := s.origin.counts()
	s.Await("the origin is asked again", func() bool {
		var heads int
		heads, gets = s.origin.counts()
		return heads >= before+5
	})
	return gets
}

// fetched waits until programs were got so many times, and not once more.
func (s *site) fetched(times int) {
	s.t.Helper()
	s.Await("a program is fetched", func() bool { _, gets := s.origin.counts(); return gets >= times })
	if gets := s.lookedAgain(); gets != times {
		s.t.Errorf("programs were fetched %d times, want %d", gets, times)
	}
}

// TestExample: overseer's example with other imports upgrades to what comes at a path, and loses nothing. Nothing has to
// be there before.
func TestExample(t *testing.T) {
	s := newSite(t)
	s.start("-file", "app_next")
	id := sha1.Sum(s.version("1", good))
	if got := s.ask("/"); !strings.HasPrefix(got, fmt.Sprintf("app#1 (%x) says hello from %s", id, s.path("app"))) {
		t.Errorf("%q", got)
	}
	run := load.Start(load.Config{Addr: s.Addr, Path: "/", Method: "GET", Any: true, Clients: 4, Fresh: 4})
	s.put("app_next", s.version("2", good))
	// The next one comes while the process that looks for it later is being started.
	s.AwaitLog("overseer: verified", 1)
	third := s.version("3", good)
	s.put("app_next", third)
	s.AwaitLog("overseer: current", 2) // what was adopted, and the new one
	s.expect("2")
	if to := must.Get(os.Readlink(s.path("app")))(t); to != "app.d/current/app" {
		t.Errorf("the path of the start leads to %s", to)
	}
	if res := run.Stop(); res.Failed != 0 || res.Requests == 0 || res.Reconnects != 0 {
		t.Errorf("%v", res)
	}
	s.AwaitLog("app#1 ("+hex.EncodeToString(id[:])+") exiting...", 1) // before that nothing is fetched
	s.AwaitLog("overseer: current", 3)
	s.expect("3")
	if s.current() != sum(third) {
		t.Error("the next start does not get version 3")
	}
	s.AwaitLog("app#2 (", 2)    // it has served, and exits
	s.Upgrades(syscall.SIGUSR2) // and stops
	st, current, err := release.ReadState(s.path("app.d"))
	if err != nil || len(st.Good) != 3 || st.Good[2] != current {
		t.Errorf("state %+v, current %s, error %v", st, current, err)
	}
}

// TestServe_KeepsConnections: with Serve no client has to reconnect, though the old process ends at once.
func TestServe_KeepsConnections(t *testing.T) {
	s := newSite(t)
	s.start("-http", s.origin.URL+"/app", "-unsigned", "-moves", "-terminate", "2s")
	run := load.Start(load.Config{Addr: s.Addr, Path: "/", Method: "GET", Any: true, Clients: 4, Fresh: 4})
	for i, id := range []string{"2", "3"} {
		s.origin.publish(s.version(id, good), nil)
		s.AwaitLog("overseer: current", i+2)
		s.expect(id)
		s.AwaitLog("exiting...", i+1)
	}
	if res := run.Stop(); res.Failed != 0 || res.Requests == 0 || res.Reconnects != 0 {
		t.Errorf("%v", res)
	}
	s.stops()
}

// TestBad: what is no good version changes nothing, and is neither started nor fetched again and again. A good one that
// comes later is used.
func TestBad(t *testing.T) {
	for name, tt := range map[string]struct {
		file func(s *site) []byte
		log  string
		bad  bool // it was started
	}{
		"exits":      {func(s *site) []byte { return s.version("2", "exits") }, "failed: it ended before it was ready", true},
		"panics":     {func(s *site) []byte { return s.version("2", "panics") }, "rolled back", true},
		"a page":     {func(*site) []byte { return []byte("<!DOCTYPE html><title>Sign in</title>") }, "it is no program of this system", false},
		"half":       {func(s *site) []byte { return s.program[:len(s.program)/2] }, "it is no", false},
		"no gracex":  {func(s *site) []byte { return must.Get(os.ReadFile(must.Get(exec.LookPath("go"))(s.t)))(s.t) }, "does not contain", false},
		"other arch": {otherArch, "and this machine is", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			bad := tt.file(s)
			s.origin.publish(bad, nil)
			s.start("-http", s.origin.URL+"/app", "-unsigned")
			s.AwaitLog("overseer: the new version is not used, and this one serves on", 1)
			if !strings.Contains(s.Log.String(), tt.log) {
				t.Errorf("the log does not say %q", tt.log)
			}
			s.expect("1")
			if s.current() != sum(s.version("1", good)) {
				t.Error("the next start gets something else")
			}
			s.fetched(1)
			// The same again, by another name.
			s.origin.publish(bad, nil)
			s.fetched(2)
			if n := s.Log.Count("the new version is not used"); n != 1 {
				t.Errorf("it was tried %d times", n)
			}
			// Another process fetches it once, and knows what it is if it was started.
			s.restart()
			s.fetched(3)
			if n := s.Log.Count("was bad before, and is not started again"); tt.bad != (n == 1) {
				t.Errorf("it was said %d times that it was bad", n)
			}
			s.expect("1")
			if got := strings.Count(s.Log.String(), "app#2 "); tt.bad != (got == 1) {
				t.Errorf("it was started %d times", got)
			}
			third := s.version("3", good)
			s.origin.publish(third, nil)
			s.Await("version 3 is current", func() bool { return s.current() == sum(third) })
			s.expect("3")
			s.stops()
		})
	}
}

// otherArch is the program with another processor in its header: e_machine of elf(5).
func otherArch(s *site) []byte {
	b := s.version("2", good)
	if b[18] == 0xb7 { // EM_AARCH64
		b[18] = 0x3e // EM_X86_64
	} else {
		b[18] = 0xb7
	}
	return b
}

// TestCut: a transfer that breaks is repeated.
func TestCut(t *testing.T) {
	s := newSite(t)
	s.origin.cut = true
	s.origin.publish(s.version("2", good), nil)
	s.start("-http", s.origin.URL+"/app", "-unsigned")
	s.AwaitLog("could not be read, and is fetched again", 1)
	s.AwaitLog("overseer: current", 2)
	s.expect("2")
	s.stops()
}

// TestKeys: only what one of the keys has signed is used.
func TestKeys(t *testing.T) {
	s := newSite(t)
	public, sign := generate(t)
	_, stranger := generate(t)
	second := s.version("2", good)
	s.start("-http", s.origin.URL+"/app", "-key", public)
	for i, c := range []struct {
		id        string
		signature []byte
	}{
		{"3", nil},
		{"4", []byte("untrusted comment: no signature\n")},
		{"5", stranger(s.version("5", good))},
		{"6", sign(second)},
	} {
		s.origin.publish(s.version(c.id, good), c.signature)
		s.AwaitLog("what the fetcher has returned is not used", i+1)
	}
	s.expect("1")
	if _, err := os.Lstat(s.path("app.d/current")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is current: %v", err)
	}
	s.origin.publish(second, sign(second))
	s.AwaitLog("overseer: current", 2)
	s.expect("2")
	s.stops()
}

// generate makes a key, by minisign(1) where that is installed, and returns what signs with it.
func generate(t *testing.T) (public string, sign func([]byte) []byte) {
	t.Helper()
	if !minisigntest.Installed(t) {
		public, private, err := minisign.GenerateKey(nil)
		must.Do(t, err)
		return public.String(), func(b []byte) []byte {
			r := minisign.NewReader(bytes.NewReader(b))
			must.Get(io.Copy(io.Discard, r))(t)
			return r.Sign(private)
		}
	}
	dir := t.TempDir()
	minisigntest.Run(t, dir, "", "-G", "-W", "-p", "shop.pub", "-s", "shop.key")
	return string(must.Get(os.ReadFile(filepath.Join(dir, "shop.pub")))(t)), func(b []byte) []byte {
		must.Do(t, os.WriteFile(filepath.Join(dir, "shop"), b, 0o600))
		minisigntest.Run(t, dir, "", "-S", "-s", "shop.key", "-m", "shop")
		return must.Get(os.ReadFile(filepath.Join(dir, "shop.minisig")))(t)
	}
}

// fetchedNothing is for a program that must not ask the origin at all.
func (s *site) fetchedNothing() {
	s.t.Helper()
	if heads, gets := s.origin.counts(); heads+gets != 0 {
		s.t.Errorf("%d requests", heads+gets)
	}
}

// TestNeedsTrust: without a key and without Unsigned nothing is fetched, and the app serves.
func TestNeedsTrust(t *testing.T) {
	s := newSite(t)
	s.origin.publish(s.version("2", good), nil)
	s.start("-http", s.origin.URL+"/app")
	s.AwaitLog("overseer: the fetcher is disabled, and this version serves on", 1)
	s.expect("1")
	s.restart()
	s.expect("1")
	s.fetchedNothing()
	s.stops()
}

// TestDirectoryOfOthers: where anybody could replace the program, nothing is fetched, and the app serves.
func TestDirectoryOfOthers(t *testing.T) {
	s := newSite(t)
	must.Do(t, os.Chmod(s.dir, 0o777))
	s.origin.publish(s.version("2", good), nil)
	s.start("-http", s.origin.URL+"/app", "-unsigned")
	s.AwaitLog("overseer: the fetcher is disabled, and this version serves on", 1)
	s.AwaitLog("can be written by others", 1)
	s.expect("1")
	s.stops()
}

// TestUnderMaster: what overseer's master has started does not fetch, because the master does. There is a control socket,
// by which it can leave.
func TestUnderMaster(t *testing.T) {
	s := newSite(t)
	s.origin.publish(s.version("2", good), nil)
	must.Do(t, proctest.WriteProgram(s.path("start"), "#!/bin/sh\nexec env OVERSEER_IS_SLAVE=1 OVERSEER_NUM_FDS=0 ./app \"$@\"\n"))
	s.Program = compattest.Start(t, s.path("start"), 1, "-http", s.origin.URL+"/app", "-unsigned")
	s.AwaitLog("overseer: overseer's master has started this process, and fetches itself", 1)
	s.expect("1")
	if sockets := must.Get(filepath.Glob(s.path("app.d/control-*")))(t); len(sockets) != 1 {
		t.Errorf("control sockets: %v", sockets)
	}
	s.fetchedNothing()
	s.stops()
}

// TestPreUpgrade refuses a program that was fetched. It is not asked about what runs.
func TestPreUpgrade(t *testing.T) {
	s := newSite(t)
	s.origin.publish(s.version("1", good), nil)
	s.start("-http", s.origin.URL+"/app", "-unsigned", "-veto")
	s.fetched(1)
	s.origin.publish(s.version("2", good), nil)
	s.fetched(2)
	if n := s.Log.Count("PreUpgrade: not today"); n != 1 {
		t.Errorf("PreUpgrade has refused %d programs", n)
	}
	s.expect("1")
	s.stops()
}

// TestRestart: Restart upgrades to what lies at the path of the start.
func TestRestart(t *testing.T) {
	s := newSite(t)
	s.start()
	s.put("app", s.version("2", good))
	s.ask("/restart")
	s.AwaitLog("app#2 ", 1)
	s.AwaitLog("exiting...", 1)
	s.expect("2")
	s.stops()
}

// TestWaits: with NoRestartAfterFetch a new version waits for a signal.
func TestWaits(t *testing.T) {
	s := newSite(t)
	s.origin.publish(s.version("2", good), nil)
	s.start("-http", s.origin.URL+"/app", "-unsigned", "-waits")
	s.AwaitLog("overseer: a new version waits for a restart", 1)
	s.expect("1")
	s.signal(syscall.SIGUSR2)
	s.AwaitLog("overseer: current", 2)
	s.expect("2")
	s.restart() // without anything new
	s.expect("2")
	s.stops()
}

// TestNoRestart: a new version is what the next start gets, and the signal stops the service.
func TestNoRestart(t *testing.T) {
	s := newSite(t)
	second := s.version("2", good)
	s.origin.publish(second, nil)
	s.start("-http", s.origin.URL+"/app", "-unsigned", "-norestart")
	s.AwaitLog("overseer: current", 2)
	s.expect("1")
	if s.current() != sum(second) {
		t.Error("the next start does not get version 2")
	}
	s.signal(syscall.SIGUSR2)
	if status := s.AwaitEnd(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// TestByHand: a plain file that somebody has put in the place of the symlink is not lost.
func TestByHand(t *testing.T) {
	s := newSite(t)
	s.origin.publish(s.version("2", good), nil)
	s.start("-http", s.origin.URL+"/app", "-unsigned")
	s.AwaitLog("overseer: current", 2)
	s.stops()
	third := s.version("3", good)
	s.put("app", third)
	s.origin.publish(s.version("4", "exits"), nil)
	s.start("-http", s.origin.URL+"/app", "-unsigned")
	s.AwaitLog("overseer: the new version is not used, and this one serves on", 1)
	s.expect("3")
	if s.current() != sum(third) {
		t.Error("the next start does not get version 3")
	}
	s.stops()
}

// TestHold: nothing is fetched into place while followers are held, as after a way back.
func TestHold(t *testing.T) {
	s := newSite(t)
	s.start("-http", s.origin.URL+"/app", "-unsigned")
	store := must.Get(release.Open(s.path("app.d"), "app"))(t)
	must.Do(t, store.Hold("not before the fair"))
	must.Do(t, store.Close())
	s.origin.publish(s.version("2", good), nil)
	s.AwaitLog("not before the fair", 1)
	s.lookedAgain()
	s.expect("1")
	s.stops()
}

// TestTerminateTimeout: what is left then is cut.
func TestTerminateTimeout(t *testing.T) {
	s := newSite(t)
	s.start("-terminate", "2s") // time for a stop on a busy machine
	c := must.Get(net.Dial("tcp", s.Addr))(t)
	defer c.Close()
	fmt.Fprintf(c, "GET /?d=1h HTTP/1.1\r\nHost: x\r\n\r\n")
	s.expect("1") // a connection that comes later is accepted later
	s.restart()
	s.AwaitLog("drain cut short", 1)
	s.expect("1")
	s.stops()
}

// TestTwoAddresses: both are taken over.
func TestTwoAddresses(t *testing.T) {
	s := newSite(t)
	p := compattest.Start(t, s.path("app"), 2)
	p.Upgrades(syscall.SIGUSR2)
}

// TestRun_Ends: how Run ends where there is nothing to serve.
func TestRun_Ends(t *testing.T) {
	s := newSite(t)
	taken := proctest.Occupied(t)
	for name, tt := range map[string]struct {
		args   []string
		env    string
		status int
		out    string
	}{
		"Program returns":           {[]string{"-addr", proctest.FreeAddr(t), "-returns"}, "", 0, "enabled=true\n"},
		"Program returns, no ports": {[]string{"-returns"}, "", 0, "enabled=true\n"},
		"disabled":                  {[]string{"-addr", taken}, "", 0, "enabled=false\n"},
		"required":                  {[]string{"-addr", taken, "-required"}, "", 1, "address already in use"},
		"overseer's own check":      {nil, "OVERSEER_BIN_CHECK=c0ffee", 0, "c0ffee"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(s.path("app"), tt.args...)
			cmd.Env = append(os.Environ(), tt.env)
			out, _ := cmd.CombinedOutput()
			if status := cmd.ProcessState.ExitCode(); status != tt.status || !strings.Contains(string(out), tt.out) {
				t.Errorf("exit status %d, it wrote:\n%s", status, out)
			}
			if tt.env != "" && string(out) != tt.out {
				t.Errorf("it wrote:\n%s", out)
			}
		})
	}
	for want, c := range map[string]overseer.Config{
		"Program required":  {},
		"cant both be set":  {Program: func(overseer.State) {}, Address: ":0", Addresses: []string{":0"}},
		"missing port in a": {Program: func(overseer.State) {}, Address: "localhost"},
	} {
		if err := overseer.RunErr(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
