//go:build unix

package core_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
)

// surroundings are what a process has from the one that started it.
type surroundings struct {
	Umask, Dir, Limits, Nice string
	Signals                  []string // ignored and blocked
	Env                      []string
	Files                    []string // what it has open, but sockets and the runtime's
}

// describe is a shell script that says what a process has.
const describe = `umask; pwd -P; echo $(ulimit -Sn) $(ulimit -Hn); nice
grep -E '^Sig(Ign|Blk)' /proc/self/status
ls -l /proc/self/fd | sed -n 's/pipe:.*/pipe/; s/.* -> //p' | grep -Ev '^(socket|anon_inode):|/proc/' | sort
echo; env | sort`

// atStart are this process's, and a child's, before main.
var atStart = func() (s [2]surroundings) {
	if os.Getenv(envProgram) != "" && slices.Contains(os.Args, "-change") {
		files := openFiles()
		child := describeSurroundings()
		s = [2]surroundings{child, child}
		s[0].Files = files // all else is a child's, too
	}
	return s
}()

// openFiles are those that this process has open, but for pipes: what is left of others' is seen elsewhere. It looks
// itself, because a child would see the pipes to it, and what the runtime closes meanwhile.
func openFiles() []string {
	return slices.DeleteFunc(descriptors(os.Getpid()), func(target string) bool {
		kind, _, _ := strings.Cut(target, ":")
		return slices.Contains([]string{"socket", "anon_inode", "pipe"}, kind) || strings.Contains(target, "/proc/")
	})
}

func describeSurroundings() surroundings {
	cmd := exec.Command("/bin/sh", "-c", describe)
	cmd.Stdin = os.Stdin // or this process opens another one for it
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		panic(fmt.Sprint(err, complaints.String()))
	}
	head, env, _ := strings.Cut(string(out), "\n\n")
	lines := strings.Split(head, "\n")
	s := surroundings{lines[0], lines[1], lines[2], lines[3], lines[4:6], nil, lines[6:]}
	for line := range strings.Lines(env) {
		if key, _, _ := strings.Cut(line, "="); key != "_" && key != "OLDPWD" && key != "SHLVL" {
			s.Env = append(s.Env, strings.TrimSpace(line))
		}
	}
	return s
}

// changeSurroundings is what a program may do to them for itself.
func changeSurroundings() {
	syscall.Umask(0o077)
	os.Setenv("APP_COLOR", "changed")
	if err := os.Chdir("/"); err != nil {
		panic(err)
	}
}

// allSurroundings are a process's when it was started, and those of its children, then
// and now.
func allSurroundings() [3]surroundings {
	return [3]surroundings{atStart[0], atStart[1], describeSurroundings()}
}

// TestSurroundings_AreTheFirstGenerations holds for what each generation starts, too, but not for a descriptor that
// nobody has named.
func TestSurroundings_AreTheFirstGenerations(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a := prepare(t)
	install(t, a.path("real"))
	a.write("stray", "")
	must(t, writeProgram(a.path("app"),
		"#!/bin/sh\nulimit -Sn 512\numask 027\nexec 7<stray\nexec nohup nice -n 5 ./real -change\n"))
	a.env = []string{"APP_COLOR=green"}
	a.start("app", "./app")
	var all [3][3]surroundings
	for gen := range all {
		ev := a.expect("ready", gen)
		all[gen] = getJSON[[3]surroundings](t, ev.Addrs[0], "/surroundings")
		if gen > 0 {
			a.expect("end", gen-1)
		}
		if gen < 2 {
			a.signal(ev.PID, syscall.SIGUSR2)
		}
	}
	for i, whose := range []string{"the program", "its first child", "its child"} {
		first, second := all[0][i], all[1][i]
		isStray := func(f string) bool { return filepath.Base(f) == "stray" }
		if !slices.ContainsFunc(first.Files, isStray) {
			t.Errorf("%s of generation 0 has %q: no stray file", whose, first.Files)
		}
		// Whoever runs the tests may have left strays, too.
		for _, f := range second.Files {
			if isStray(f) || !slices.Contains(first.Files, f) {
				t.Errorf("%s of generation 1 has %s", whose, f)
			}
		}
		pipes := strings.Count(strings.Join(second.Files, "\n"), "pipe")
		if want := 3; i > 0 && pipes != want { // stdin, and the test's for the output
			t.Errorf("%s of generation 1 has %d pipes, want %d", whose, pipes, want)
		}
		first.Files = second.Files
		for gen, its := range all[1:] {
			if !reflect.DeepEqual(its[i], first) {
				t.Errorf("%s of generation %d has %+v\nof the first one %+v", whose, gen+1, its[i], first)
			}
		}
	}
	own, err := exec.Command("nice").Output() // the tests may run with less priority
	must(t, err)
	nice, err := strconv.Atoi(strings.TrimSpace(string(own)))
	must(t, err)
	s, child := all[2][0], all[2][2]
	if s.Umask != "0027" || s.Dir == "/" || !strings.HasPrefix(s.Limits, "512 ") || s.Nice != itoa(min(nice+5, 19)) ||
		!slices.Contains(s.Env, "APP_COLOR=green") {
		t.Errorf("generation 2: %+v", s)
	}
	// Others may have been ignored before nohup ignored the first one.
	ignored := regexp.MustCompile("^SigIgn:.*[13579bdf]$")
	if len(s.Signals) != 2 || !ignored.MatchString(s.Signals[1]) {
		t.Errorf("generation 2: signals %q: SIGHUP is not ignored", s.Signals)
	}
	if child.Umask != "0077" || child.Dir != "/" || strings.Contains(strings.ReplaceAll(fmt.Sprint(all), core.EnvMode+"=self", ""), "GRACEX_") {
		t.Errorf("its child: %+v", child)
	}
}
