//go:build unix

package core_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// wroteIn returns the lines that an error's text ends in.
func wroteIn(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		t.Fatal("the upgrade worked")
	}
	_, text, _ := strings.Cut(err.Error(), "wrote to stderr:\n\t| ")
	return strings.Split(text, "\n\t| ")
}

// TestStderrOfAFailedStart: the error ends in the last lines that the new process
// wrote, and all of them are in the old one's stderr.
func TestStderrOfAFailedStart(t *testing.T) {
	t.Parallel()
	var thirty, last []string
	for i := range 30 {
		thirty = append(thirty, fmt.Sprintf("line %d", i))
	}
	last = thirty[10:]
	script := func(text string) func(*testing.T, *app) {
		return func(t *testing.T, a *app) {
			deploy(t, a, func(path string) { must(t, writeProgram(path, "#!/bin/sh\n"+text)) })
		}
	}
	for name, tt := range map[string]struct {
		spoil func(*testing.T, *app)
		exit  string
		lines func([]string) bool
		all   string // in the old one's stderr
	}{
		"30 lines": {behave("writes"), "exit status 7",
			func(l []string) bool { return slices.Equal(l, last) }, strings.Join(thirty, "\n") + "\n"},
		"a panic": {behave("crash"), "exit status 2",
			func(l []string) bool { return slices.Contains(l, "panic: a bug") && slices.Contains(l, "main.main()") },
			"panic: a bug\n\ngoroutine 1"},
		"before main": {behave("init"), "exit status 2",
			func(l []string) bool { return l[0] == "no licence" && l[1] == "panic: in init" },
			"no licence\npanic: in init\n"},
		"a script": {script("echo no such release >&2\nexit 3\n"), "exit status 3",
			func(l []string) bool { return slices.Equal(l, []string{"no such release"}) }, "no such release\n"},
		"a script that runs nothing": {script("./nothing-there\n"), "exit status 127",
			func(l []string) bool { return len(l) == 1 && strings.Contains(l[0], "not found") }, "nothing-there"},
		"lines that are none": {behave("huge"), "exit status 7",
			func(l []string) bool {
				return slices.Equal(l, []string{
					"huge " + strings.Repeat("y", 395) + "... (299605 bytes more)",
					`four\x00\x1b[31m\xffä`, "", "unterminated",
				})
			}, "huge " + strings.Repeat("y", 300_000) + "\nfour\x00\x1b[31m\xff\xc3\xa4\r\n\nunterminated"},
		// The error does not wait for it.
		"a grandchild keeps the pipe": {behave("grandchild"), "exit status 7",
			func(l []string) bool { return slices.Equal(l, []string{"the parent's last word"}) }, "the parent's last word\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t, "app")
			addr := a.expect("ready", 0).Addrs[0]
			before := quietCensus(t, addr)
			tt.spoil(t, a)
			err := a.upgrade(addr)
			if lines := wroteIn(t, err); !tt.lines(lines) || !strings.Contains(err.Error(), tt.exit) {
				t.Errorf("the error is %v\nlines %q", err, lines)
			}
			a.expectLog(tt.all, 1)
			a.expectLog("stderr=", 1) // in the log, an attribute of its own
			if strings.Contains(a.log(), `\n\t|`) {
				t.Error("the log has the lines twice")
			}
			if _, err := os.Stat("/proc/self/fd"); err == nil {
				expectCensus(t, addr, before)
			}
		})
	}
}

// flooded waits for the first n lines of a flood, in order and whole.
func flooded(t *testing.T, a *app, n int) {
	t.Helper()
	var want strings.Builder
	for i := range n {
		fmt.Fprintf(&want, "flood %05d %s\n", i, strings.Repeat("x", 87))
	}
	last := fmt.Sprintf("flood %05d", n-1)
	a.expectLog(last+" "+strings.Repeat("x", 87)+"\n", 1)
	var got strings.Builder
	for line := range strings.Lines(a.log()) {
		if strings.HasPrefix(line, "flood ") {
			got.WriteString(line)
		}
	}
	if got.String() != want.String() {
		t.Errorf("of %d bytes %d arrived", want.Len(), got.Len())
	}
}

// TestStderrFlood: 2 MB before it is ready hold nobody up and arrive.
func TestStderrFlood(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	addr := a.expect("ready", 0).Addrs[0]
	a.setMode("flood")
	must(t, a.upgrade(addr))
	flooded(t, a, floodLines)
}

// TestStderrWhileOldStops: an old process that is stopped reads nothing, which does
// not hold up a new one that says no more than the pipe takes.
func TestStderrWhileOldStops(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/sys/fs/pipe-max-size"); err != nil {
		t.Skip("this system has small pipes")
	}
	a := start(t, "app")
	first := a.expect("ready", 0)
	install(t, filepath.Join(a.dir, "real"))
	deploy(t, a, func(path string) {
		must(t, writeProgram(path, "#!/bin/sh\nkill -STOP $PPID\nexec ./real \"$@\"\n"))
	})
	a.setMode("halfflood")
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("flooded", 0)
	a.signal(first.PID, syscall.SIGCONT)
	a.expect("ready", 1)
	a.expect("end", 0)
	flooded(t, a, floodLines/4)
}

// TestStderrWhenOldDies: the new process writes on when the old one is killed, becomes
// current, and what it has written arrives, but for a piece that the old one was
// copying.
func TestStderrWhenOldDies(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	a.setMode("chatter")
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("checking", 0)
	a.expectLog("chatter 1000 ", 1)
	a.signal(first.PID, syscall.SIGKILL)
	a.AwaitExit()
	now := strings.Count(a.log(), "\nchatter ")
	a.expectLog(fmt.Sprintf("\nchatter %d ", now+20_000), 1) // more than any pipe takes
	a.setMode("")
	second := a.expect("ready", 1)
	a.expectLog("chatter ends", 1)
	if pid := getJSON[core.Ledger](t, first.Addrs[0], "/stats").PID; pid != second.PID {
		t.Errorf("pid %d serves, want %d", pid, second.PID)
	}
	seen, last := map[int]bool{}, 0
	for line := range strings.Lines(a.log()) {
		var i int
		if n, _ := fmt.Sscanf(line, "chatter %d zz", &i); n == 1 {
			seen[i], last = true, max(last, i)
		}
	}
	if lost := last + 1 - len(seen); lost > 4096/80 {
		t.Errorf("%d lines of %d are lost", lost, last+1)
	}
}

// TestStderrWhenOldDiesAtOnce: what the new process writes before it has an Upgrader is
// more than the pipe takes.
func TestStderrWhenOldDiesAtOnce(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	install(t, filepath.Join(a.dir, "real"))
	deploy(t, a, func(path string) {
		must(t, writeProgram(path, "#!/bin/sh\nkill -9 $PPID\nexec ./real \"$@\"\n"))
	})
	a.setMode("flood")
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("ready", 1)
	// All is there, but where the new process took its real stderr a line may be in
	// pieces, with others in between.
	const bytes = floodLines * 87
	a.expectLog("x", bytes)
	if n := strings.Count(a.log(), "flood "); n < floodLines-4 {
		t.Errorf("%d of %d lines arrived", n, floodLines)
	}
}

// stderrOf names the file that is a process's stderr, "" where the system does not say.
func stderrOf(t *testing.T, pid int) string {
	t.Helper()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return ""
	}
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid))
	must(t, err)
	return target
}

// TestStderrAfterUpgrades: each generation's stderr is the very file that the first
// one's is, and nothing of the way there is left.
func TestStderrAfterUpgrades(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("descriptors are looked up in /proc, which this system has not")
	}
	a := start(t, "app")
	first := a.expect("ready", 0)
	addr := first.Addrs[0]
	want := stderrOf(t, first.PID)
	has := descriptorsOf(t, first.PID)
	for gen := 1; gen < 3; gen++ {
		must(t, a.upgrade(addr))
		pid := a.expect("ready", gen).PID
		a.expect("end", gen-1)
		if got := stderrOf(t, pid); got != want {
			t.Errorf("stderr of generation %d is %s, want %s", gen, got, want)
		}
		more := []string{"not looked"}
		n := 0
		for end := time.Now().Add(patience); (len(more) > 0 || n > len(has)) && time.Now().Before(end); {
			all := descriptorsOf(t, pid)
			n, more = len(all), slices.DeleteFunc(all, func(s string) bool { return slices.Contains(has, s) })
		}
		if len(more) > 0 {
			t.Errorf("generation %d has %q, which the first had not", gen, more)
		}
		if n > len(has) {
			t.Errorf("generation %d has %d descriptors, the first had %d", gen, n, len(has))
		}
	}
	a.expectLog("generation=2", 1)
}

// descriptorsOf lists what a process has open but for sockets and what the runtime has.
func descriptorsOf(t *testing.T, pid int) []string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	ents, err := os.ReadDir(dir)
	must(t, err)
	var all []string
	for _, e := range ents {
		target, _ := os.Readlink(filepath.Join(dir, e.Name()))
		if !strings.HasPrefix(target, "socket:") && !strings.HasPrefix(target, "anon_inode:") && target != "" {
			all = append(all, target)
		}
	}
	slices.Sort(all)
	return all
}

// TestStderrOfASidecar: a process that the new one starts before it is ready has the
// pipe as its stderr for good, and is heard when the old one is gone.
func TestStderrOfASidecar(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	addr := a.expect("ready", 0).Addrs[0]
	a.setMode("sidecar")
	must(t, a.upgrade(addr))
	a.expect("end", 0)
	must(t, os.WriteFile(filepath.Join(a.dir, "go"), nil, 0o644))
	a.expectLog("sidecar lives", 1)
	a.awaitFile("done") // it did not die of its last word
}

// TestStderrElsewhere: a wrapper script sends the program's stderr to a file or to
// another program, which stays so.
func TestStderrElsewhere(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("descriptors are looked up in /proc, which this system has not")
	}
	for name, before := range map[string]string{
		"file": ">own",
		"pipe": "mkfifo own; cat <own >/dev/null &",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t, "app")
			first := a.expect("ready", 0)
			install(t, filepath.Join(a.dir, "real"))
			deploy(t, a, func(path string) {
				must(t, writeProgram(path, "#!/bin/sh\n"+before+"\nexec ./real \"$@\" 2>own\n"))
			})
			must(t, a.upgrade(first.Addrs[0]))
			if got := stderrOf(t, a.expect("ready", 1).PID); filepath.Base(got) != "own" {
				t.Errorf("stderr is %s", got)
			}
		})
	}
}

// TestStderrOfAPlainProgram: a script turns out to run a program that does not put its
// stderr back. It is heard all the same when the old process is gone.
func TestStderrOfAPlainProgram(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.start("app", "./app", "-addr", "127.0.0.1:0", "-pidfile", "app.pid")
	first := a.expect("ready", 0)
	program := filepath.Join(a.dir, "plain")
	placeAlone(t, "plain", program)
	deploy(t, a, func(path string) {
		must(t, writeProgram(path, "#!/bin/sh\necho here it comes >&2\nexec ./plain \"$@\"\n"))
	})
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("plain=true", 1)
	a.expect("end", 0)
	plain := pidIn(t, a, first.PID)
	a.AwaitExit()
	must(t, os.Remove(program))
	for i := range 2 {
		a.signal(plain, syscall.SIGHUP)
		a.expectLog("plain: start the next process:", i+1)
	}
	a.expectLog("here it comes", 1)
}

// TestStderrNotCaptured: a program that is not known to put its stderr back has the old
// one's.
func TestStderrNotCaptured(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.start("app", "./app", "-addr", "127.0.0.1:0", "-pidfile", "app.pid")
	first := a.expect("ready", 0)
	want := stderrOf(t, first.PID)
	deployPlain(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	plain := pidIn(t, a, first.PID)
	if got := stderrOf(t, plain); got != want {
		t.Errorf("stderr is %s, want %s", got, want)
	}
	a.expectLog("not known to put its stderr back", 1)
	a.expect("end", 0)
}

// TestStderrNotGiven: descriptors that are not what the old process says fail the start.
func TestStderrNotGiven(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"stderr=4:pipe=5:id=1":  "pipe: descriptor 5 is a file",
		"stderr=4:pipe=90:id=1": "pipe: descriptor 90 is not open",
		"stderr=90:pipe=6:id=1": "stderr: descriptor 90 is not open",
	} {
		a := prepare(t)
		install(t, filepath.Join(a.dir, "app"))
		ctl, end, err := fd.Pair()
		must(t, err)
		defer ctl.Close()
		r, w, err := os.Pipe()
		must(t, err)
		defer w.Close()
		defer r.Close()
		f, err := os.Create(filepath.Join(a.dir, "f"))
		must(t, err)
		defer f.Close()
		socket := os.NewFile(uintptr(end), "control")
		defer socket.Close()
		a.files = []*os.File{socket, f, f, r}
		a.env = []string{wire.EnvHandover + "=1:3:" + itoa(os.Getpid()) + ":" + value}
		a.start("app", "./app", "-graceful")
		a.expectGone()
		if ends := a.all(); len(ends) != 1 || !strings.Contains(ends[0].Err, want) {
			t.Errorf("%s: %v, want an error with %q", value, ends, want)
		}
	}
}

// TestScriptIsGivenUp: what a script has started without exec, and that says nothing, ends
// with it: it would serve beside this process.
func TestScriptIsGivenUp(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("descendants are looked up in /proc, which this system has not")
	}
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.start("app", "./app")
	first := a.expect("ready", 0)
	deploy(t, a, func(path string) {
		must(t, writeProgram(path, "#!/bin/sh\nsh -c 'sleep 100 & echo $! >pid; mv pid inner; wait' &\nwait\n"))
	})
	giveUp := a.beginUpgrade(first.Addrs[0])
	a.awaitFile("inner")
	giveUp()
	a.expectLog("upgrade failed; this process serves on", 1)
	b, err := os.ReadFile(filepath.Join(a.dir, "inner"))
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	must(t, err)
	if err := syscall.Kill(pid, 0); err == nil && !proc.Zombie(pid) {
		t.Errorf("process %d is left", pid)
	}
}
