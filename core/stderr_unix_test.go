//go:build unix

package core_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// ownLine is a line of the old process's log. One can stand in the middle of a line that is longer than the old
// process copies at once.
var ownLine = regexp.MustCompile(`time=\S+ level=.*\n`)

// TestStderr_EndsTheErrorOfAFailedStart has the last lines that the new process wrote in the error. All of them are
// in the old one's stderr.
func TestStderr_EndsTheErrorOfAFailedStart(t *testing.T) {
	t.Parallel()
	var thirty []string
	for i := range 30 {
		thirty = append(thirty, fmt.Sprintf("line %d", i))
	}
	are := func(want ...string) func([]string) bool {
		return func(lines []string) bool { return slices.Equal(lines, want) }
	}
	script := func(text string) func(*testing.T, *app) {
		return func(t *testing.T, a *app) { deployWrapper(t, a, text) }
	}
	for name, tt := range map[string]struct {
		spoil func(*testing.T, *app)
		exit  string
		lines func([]string) bool
		all   string // in the old one's stderr
	}{
		"30 lines": {behave("writes"), "exit status 7", are(thirty[10:]...), strings.Join(thirty, "\n") + "\n"},
		"a panic": {behave("crash"), "exit status 2",
			func(l []string) bool { return slices.Contains(l, "panic: a bug") && slices.Contains(l, "main.main()") },
			"panic: a bug\n\ngoroutine 1"},
		"before main": {behave("init"), "exit status 2",
			func(l []string) bool { return len(l) > 2 && l[0] == "no licence" && l[1] == "panic: in init" },
			"no licence\npanic: in init\n"},
		"a script": {script("echo no such release >&2\nexit 3\n"), "exit status 3",
			are("no such release"), "no such release\n"},
		"a script that runs nothing": {script("./nothing-there\n"), "exit status 127",
			func(l []string) bool { return len(l) == 1 && strings.Contains(l[0], "not found") }, "nothing-there"},
		"lines that are none": {behave("huge"), "exit status 7",
			are("huge "+strings.Repeat("y", 395)+"... (299605 bytes more)",
				`four\x00\x1b[31m\xffä`, "", "unterminated"),
			"huge " + strings.Repeat("y", 300_000) + "\nfour\x00\x1b[31m\xff\xc3\xa4\r\n\nunterminated"},
		// The error does not wait for it.
		"a grandchild keeps the pipe": {behave("grandchild"), "exit status 7",
			are("the parent's last word"), "the parent's last word\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := serving(t)
			addr := first.Addrs[0]
			before := quietCensus(t, addr)
			tt.spoil(t, a)
			err := a.upgrade(addr)
			expectError(t, err, tt.exit)
			_, text, _ := strings.Cut(fmt.Sprint(err), "wrote to stderr:\n\t| ")
			if lines := strings.Split(text, "\n\t| "); !tt.lines(lines) {
				t.Errorf("the error is %v\nlines %q", err, lines)
			}
			a.Await("the old one's stderr has all of it", func() bool {
				return strings.Contains(ownLine.ReplaceAllString(a.log(), ""), tt.all)
			})
			a.expectLog("stderr=", 1) // in the log, an attribute of its own
			if strings.Contains(a.log(), `\n\t|`) {
				t.Error("the log has the lines twice")
			}
			if hasProc() {
				expectCensus(t, addr, before)
			}
		})
	}
}

// flooded waits for the first n lines of a flood, in order and whole.
func flooded(t *testing.T, a *app, n int) {
	t.Helper()
	a.expectLog(floodLine(n-1), 1)
	var want, got strings.Builder
	for i := range n {
		want.WriteString(floodLine(i))
	}
	for line := range strings.Lines(a.log()) {
		if strings.HasPrefix(line, "flood ") {
			got.WriteString(line)
		}
	}
	if got.String() != want.String() {
		t.Errorf("of %d bytes %d arrived", want.Len(), got.Len())
	}
}

// TestStderr_FloodHoldsNobodyUp writes much before the new process is ready. It arrives.
func TestStderr_FloodHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	t.Run("2 MB", func(t *testing.T) {
		t.Parallel()
		a, first := serving(t)
		a.setMode("flood")
		must(t, a.upgrade(first.Addrs[0]))
		flooded(t, a, floodLines)
	})
	// An old process whose stderr is taken slowly copies for longer than a new one waits for one that stands still.
	t.Run("taken slowly", func(t *testing.T) {
		t.Parallel()
		r, w, err := os.Pipe()
		must(t, err)
		defer r.Close()
		a := installed(t)
		a.stderr = w
		a.start("app", "./app", "-probation", "0")
		must(t, w.Close())
		go func() {
			for b := make([]byte, 2048); ; time.Sleep(35 * time.Millisecond) {
				n, err := r.Read(b)
				_, _ = a.Log.Write(b[:n])
				if err != nil {
					return
				}
			}
		}()
		first := a.expect("ready", 0)
		a.setMode("halfflood")
		a.next(first)
		flooded(t, a, floodLines/4)
	})
	// An old process that is stopped reads nothing. This is no more than the pipe takes.
	t.Run("the old process stands still", func(t *testing.T) {
		t.Parallel()
		if _, err := os.Stat("/proc/sys/fs/pipe-max-size"); err != nil {
			t.Skip("this system has small pipes")
		}
		a, first := serving(t)
		deployWrapper(t, a, "kill -STOP $PPID\nexec ./real \"$@\"\n")
		a.setMode("halfflood")
		a.signal(first.PID, syscall.SIGUSR2)
		a.expect("flooded", 0)
		a.signal(first.PID, syscall.SIGCONT)
		a.expect("ready", 1)
		a.expect("end", 0)
		flooded(t, a, floodLines/4)
	})
}

// TestStderr_OfACrashOnProbationIsInTheError and in the log, once.
func TestStderr_OfACrashOnProbationIsInTheError(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-probation", "4m")
	a.setMode("crashlater")
	err := a.upgrade(first.Addrs[0])
	expectError(t, err, "it ended on probation (exit status 2 after ", "wrote to stderr:\n", "| panic: a bug that shows late", "| goroutine ")
	if strings.Contains(fmt.Sprint(err), "mode -") {
		t.Errorf("the file's mode says nothing of a program that ran: %v", err)
	}
	a.expectLog("\npanic: a bug that shows late", 1)
	a.expectLog(`msg="upgrade rolled back; this process serves again"`, 1)
	if strings.Contains(a.log(), `\n\t|`) {
		t.Error("the log has the lines twice")
	}
}

// TestStderr_OldProcessThatStandsStillOnProbationHoldsNobodyUp reads nothing, and the new process writes more than the
// pipe takes.
func TestStderr_OldProcessThatStandsStillOnProbationHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-probation", "4m")
	a.setMode("floodlater")
	second := a.next(first)
	a.freeze(first.PID)
	a.setMode("")
	a.expect("flooded", 0)
	if want := stderrOf(first.PID); stderrOf(second.PID) != want {
		t.Errorf("stderr is %s, want %s", stderrOf(second.PID), want)
	}
	a.signal(first.PID, syscall.SIGCONT)
	a.expectLog(floodLine(floodLines-1), 1)
}

// stderrOf names the file that is a process's stderr, "" where the system does not say.
func stderrOf(pid int) string {
	target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid))
	return target
}

// TestStderr_IsTheFirstGenerationsFile leaves nothing of the way there open.
func TestStderr_IsTheFirstGenerationsFile(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a, first := serving(t)
	want := stderrOf(first.PID)
	has := filesOf(first.PID)
	for gen := 1; gen < 3; gen++ {
		must(t, a.upgrade(first.Addrs[0]))
		pid := a.expect("ready", gen).PID
		a.expect("end", gen-1)
		if got := stderrOf(pid); got != want {
			t.Errorf("stderr of generation %d is %s, want %s", gen, got, want)
		}
		var all []string
		if !a.Until(func() bool {
			all = filesOf(pid)
			more := slices.ContainsFunc(all, func(s string) bool { return !slices.Contains(has, s) })
			return !more && len(all) <= len(has)
		}) {
			t.Errorf("generation %d has %q, the first had %q", gen, all, has)
		}
	}
	a.expectLog("generation=2", 1)
}

// filesOf lists what a process has open but for sockets and what the runtime has.
func filesOf(pid int) []string {
	return slices.DeleteFunc(descriptors(pid), func(target string) bool {
		return strings.HasPrefix(target, "socket:") || strings.HasPrefix(target, "anon_inode:")
	})
}

// TestStderr_OfASidecarIsHeardForGood has a process that the new one starts before it is ready. The pipe is its
// stderr, also when the old process is gone.
func TestStderr_OfASidecarIsHeardForGood(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	a.setMode("sidecar")
	must(t, a.upgrade(first.Addrs[0]))
	a.expect("end", 0)
	a.write("go", "")
	a.expectLog("sidecar lives", 1)
	a.awaitFile("done") // it did not die of its last word
}

func TestStderr_StaysWhereAScriptSendsIt(t *testing.T) {
	t.Parallel()
	needsProc(t)
	for name, before := range map[string]string{
		"to a file":          ">own",
		"to another program": "mkfifo own; cat <own >/dev/null &",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := serving(t)
			deployWrapper(t, a, before+"\nexec ./real \"$@\" 2>own\n")
			must(t, a.upgrade(first.Addrs[0]))
			if got := stderrOf(a.expect("ready", 1).PID); filepath.Base(got) != "own" {
				t.Errorf("stderr is %s", got)
			}
		})
	}
}

// TestStderr_OfAPlainProgramBehindAScriptIsHeard has a program that does not put its stderr back. It is heard all the
// same when the old process is gone.
func TestStderr_OfAPlainProgramBehindAScriptIsHeard(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-addr", "127.0.0.1:0", "-pidfile", "app.pid")
	program := a.path("plain")
	placeAlone(t, "plain", program)
	deployWrapper(t, a, "echo here it comes >&2\nexec ./plain \"$@\"\n")
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

// TestStderr_IsNotCapturedWhereItIsNotPutBack has a program that is not known to put it back. It has the old one's.
func TestStderr_IsNotCapturedWhereItIsNotPutBack(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-addr", "127.0.0.1:0", "-pidfile", "app.pid")
	want := stderrOf(first.PID)
	deployPlain(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	if got := stderrOf(pidIn(t, a, first.PID)); got != want {
		t.Errorf("stderr is %s, want %s", got, want)
	}
	a.expectLog("not known to put its stderr back", 1)
	a.expect("end", 0)
}

// TestStderr_BadDescriptorsFailTheStart has others than the old process says.
func TestStderr_BadDescriptorsFailTheStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ value, want string }{
		"the pipe is a file":     {"stderr=4:pipe=5:id=1", "pipe: descriptor 5 is a file"},
		"the pipe is not open":   {"stderr=4:pipe=90:id=1", "pipe: descriptor 90 is not open"},
		"the stderr is not open": {"stderr=90:pipe=6:id=1", "stderr: descriptor 90 is not open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			ctl, end, err := fd.Pair()
			must(t, err)
			defer ctl.Close()
			r, w, err := os.Pipe()
			must(t, err)
			defer w.Close()
			defer r.Close()
			f, err := os.Create(a.path("f"))
			must(t, err)
			defer f.Close()
			socket := os.NewFile(uintptr(end), "control")
			defer socket.Close()
			a.files = []*os.File{socket, f, f, r}
			a.env = []string{wire.EnvHandover + "=1:3:" + itoa(os.Getpid()) + ":" + c.value}
			a.start("app", "./app", "-graceful")
			a.expectGone()
			if ends := a.all(); len(ends) != 1 || !strings.Contains(ends[0].Err, c.want) {
				t.Errorf("%v, want an error with %q", ends, c.want)
			}
		})
	}
}

// TestScript_GivenUpEndsWithWhatItStarted without exec, and that says nothing: it would serve beside this process.
func TestScript_GivenUpEndsWithWhatItStarted(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a, first := serving(t)
	deployWrapper(t, a, "sh -c 'sleep 100 & echo $! >pid; mv pid inner; wait' &\nwait\n")
	giveUp := a.beginUpgrade(first.Addrs[0])
	a.awaitFile("inner")
	giveUp()
	a.expectLog("upgrade failed; this process serves on", 1)
	pid := procgroup.ReadPIDFile(a.path("inner"))
	if err := syscall.Kill(pid, 0); pid == 0 || err == nil && !proc.Zombie(pid) {
		t.Errorf("process %d is left", pid)
	}
}
