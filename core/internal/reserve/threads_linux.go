package reserve

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What to raise.
const (
	moreForUser  = "raise LimitNPROC= (systemd), nproc (limits.conf) or ulimit -u"
	moreForGroup = "raise TasksMax= (systemd) or --pids-limit (docker, podman)"
)

// Threads returns how many threads this process has, and the limits of the threads that it can have with others. It
// reads without the help of the scheduler, which would start a thread for one that waits in a system call.
func (s System) Threads() (own int, l Limits) {
	status, err := s.status("self")
	if err != nil {
		return 0, Limits{Unknown: []error{fmt.Errorf("the limits of threads: %w", err)}}
	}
	own = int(status.number("Threads"))
	s.ofUser(&l, status)
	s.ofGroups(&l)
	return own, l
}

// ofUser adds RLIMIT_NPROC, which counts the threads of a user (setrlimit(2)). It looks at all processes only if the
// threads of the whole machine could be too many.
func (s System) ofUser(l *Limits, own fields) {
	most, err := s.maxProcesses()
	if err != nil {
		l.Unknown = append(l.Unknown, fmt.Errorf("the limit of the user's threads: %w", err))
		return
	}
	space, err := readLink(s.path("self", "ns/user"))
	if err != nil {
		l.Unknown = append(l.Unknown, fmt.Errorf("the limit of the user's threads: %w", err))
		return
	}
	if most == unlimited || space == initialUsers && own.exempt() {
		return
	}
	roomy := 8 * (own.number("Threads") + uint64(Keep())) // more than a start takes
	all, ok := s.allThreads()
	if ok && all+roomy <= most {
		l.add("RLIMIT_NPROC", most, all, moreForUser)
		return
	}
	used, err := s.userThreads(own.first("Uid"), space)
	if err != nil {
		l.Unknown = append(l.Unknown, fmt.Errorf("the user's threads: %w", err))
		return
	}
	l.add("RLIMIT_NPROC of user "+own.first("Uid"), most, used, moreForUser)
}

// initialUsers is the user namespace of the machine: PROC_USER_INIT_INO in include/linux/proc_ns.h.
const initialUsers = "user:[4026531837]"

// The capabilities of those whom RLIMIT_NPROC does not bind (capabilities(7)), as bits of CapEff.
const (
	sysAdmin    = 1 << 21
	sysResource = 1 << 24
)

// exempt reports whether RLIMIT_NPROC does not bind a process of the initial user namespace. Elsewhere it binds all:
// their capabilities and their root are not those of the machine (copy_process in kernel/fork.c).
func (f fields) exempt() bool {
	capabilities, _ := strconv.ParseUint(f.first("CapEff"), 16, 64)
	return f.first("Uid") == "0" || capabilities&(sysAdmin|sysResource) != 0
}

// maxProcesses is the soft limit in the line "Max processes" of proc_pid_limits(5).
func (s System) maxProcesses() (uint64, error) {
	b, err := readFile(s.path("self", "limits"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Max processes"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				return limit(f[0])
			}
		}
	}
	return 0, errors.New("proc(5) names no limit of processes")
}

// userThreads counts the threads of the processes with this real uid in this user namespace, as the kernel does, as far
// as they can be seen from this pid namespace.
func (s System) userThreads(uid, space string) (n uint64, err error) {
	names, err := readNames(s.path())
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if _, err := strconv.Atoi(name); err != nil {
			continue
		}
		status, err := s.status(name)
		if err != nil || status.first("Uid") != uid {
			continue // it has ended, or is another user's
		}
		if other, err := readLink(s.path(name, "ns/user")); err == nil && other != space {
			continue
		}
		n += status.number("Threads")
	}
	return n, nil
}

// allThreads is how many threads the machine has: behind the slash in the fourth field of proc_loadavg(5).
func (s System) allThreads() (uint64, bool) {
	b, err := readFile(s.path("loadavg"))
	f := strings.Fields(string(b))
	if err != nil || len(f) < 4 {
		return 0, false
	}
	_, all, _ := strings.Cut(f[3], "/")
	n, err := strconv.ParseUint(all, 10, 64)
	return n, err == nil
}

// ofGroups adds pids.max of the control groups of this process, which counts threads in spite of its name.
func (s System) ofGroups(l *Limits) {
	groups, err := s.groups("pids")
	if err != nil {
		l.Unknown = append(l.Unknown, fmt.Errorf("the limit of the control group's threads: %w", err))
	}
	for _, g := range groups {
		most, err := g.limit("pids.max")
		if err == nil && most == unlimited {
			continue
		}
		used, uerr := g.number("pids.current")
		if err := cmp.Or(err, uerr); err != nil {
			l.Unknown = append(l.Unknown, fmt.Errorf("the limit of the control group's threads: %w", err))
			continue
		}
		l.add("pids.max of "+g.name, most, used, moreForGroup)
	}
}
