//go:build unix

package core_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// surroundings are what a process has from whoever started it.
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
		s = [2]surroundings{describeSurroundings(), describeSurroundings()}
		s[0].Files = files // all else is a child's, too
	}
	return s
}()

// openFiles are those that this process has open, but for pipes: what is left of others' is seen elsewhere. It looks
// itself, because a child would see the pipes to it, and what the runtime closes meanwhile.
func openFiles() (files []string) {
	ents, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	for _, e := range ents {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		kind, _, _ := strings.Cut(target, ":")
		if err == nil && !slices.Contains([]string{"socket", "anon_inode", "pipe"}, kind) && !strings.Contains(target, "/proc/") {
			files = append(files, target)
		}
	}
	slices.Sort(files)
	return files
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
	s := surroundings{Umask: lines[0], Dir: lines[1], Limits: lines[2], Nice: lines[3], Signals: lines[4:6], Files: lines[6:]}
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

// TestSurroundings: what the first generation was started with holds for all of them,
// and for what they start; but for a descriptor that nobody has named.
func TestSurroundings(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("what a process has is read from /proc, which this system has not")
	}
	a := prepare(t)
	install(t, filepath.Join(a.dir, "real"))
	must(t, os.WriteFile(filepath.Join(a.dir, "stray"), nil, 0o644))
	must(t, writeProgram(filepath.Join(a.dir, "app"),
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
	for i, who := range []string{"the program", "its first child", "its child"} {
		first, second := all[0][i], all[1][i]
		isStray := func(f string) bool { return filepath.Base(f) == "stray" }
		if !slices.ContainsFunc(first.Files, isStray) {
			t.Errorf("%s of generation 0 has %q: no stray file", who, first.Files)
		}
		// Who runs the tests may have left strays, too.
		for _, f := range second.Files {
			if isStray(f) || !slices.Contains(first.Files, f) {
				t.Errorf("%s of generation 1 has %s", who, f)
			}
		}
		pipes := strings.Count(strings.Join(second.Files, "\n"), "pipe")
		if want := 3; i > 0 && pipes != want { // stdin, and the test's for the output
			t.Errorf("%s of generation 1 has %d pipes, want %d", who, pipes, want)
		}
		first.Files = second.Files
		for gen := 1; gen < 3; gen++ {
			got := all[gen][i]
			for _, has := range []struct{ what, got, want string }{
				{"umask", got.Umask, first.Umask},
				{"directory", got.Dir, first.Dir},
				{"limits", got.Limits, first.Limits},
				{"nice", got.Nice, first.Nice},
				{"signals", fmt.Sprint(got.Signals), fmt.Sprint(first.Signals)},
				{"environment", fmt.Sprint(got.Env), fmt.Sprint(first.Env)},
				{"files", fmt.Sprint(got.Files), fmt.Sprint(first.Files)},
			} {
				if has.got != has.want {
					t.Errorf("%s of generation %d has %s %s, and of the first one %s", who, gen, has.what, has.got, has.want)
				}
			}
		}
	}
	own, err := exec.Command("nice").Output() // somebody may run the tests with less priority
	must(t, err)
	nice, err := strconv.Atoi(strings.TrimSpace(string(own)))
	must(t, err)
	s, child := all[2][0], all[2][2]
	if s.Umask != "0027" || !strings.HasPrefix(s.Limits, "512 ") || s.Nice != itoa(min(nice+5, 19)) || !slices.Contains(s.Env, "APP_COLOR=green") {
		t.Errorf("generation 2: %+v", s)
	}
	// Others may have been ignored before nohup ignored the first one.
	if len(s.Signals) != 2 || !strings.HasPrefix(s.Signals[1], "SigIgn:") || !strings.ContainsAny(s.Signals[1][len(s.Signals[1])-1:], "13579bdf") {
		t.Errorf("generation 2: signals %q: SIGHUP is not ignored", s.Signals)
	}
	if child.Umask != "0077" || child.Dir != "/" || strings.Contains(fmt.Sprint(all), "GRACEX_") {
		t.Errorf("its child: %+v", child)
	}
}
