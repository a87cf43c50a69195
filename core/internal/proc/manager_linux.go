package proc

import (
	"os"
	"strconv"
	"strings"
)

// Started reports why the service manager has not started the process with this number. It has if the kernel or its
// word shows it, or if it has started a shell that is still the parent, or the parent of that.
//
// replaces says that the process is not this one but one that it replaces. The versions before that count as well,
// because the first of them may drain yet.
func (m ServiceManager) Started(pid int, replaces bool) error {
	var line []int // from pid up
	for pid > 0 {
		line = append(line, pid)
		if m.has(pid) {
			return nil
		}
		parent, _ := Parent(pid)
		if !isShell(parent) && !(replaces && RunsThisProgram(parent)) {
			break
		}
		pid = parent
	}
	// The parent of a process that has lost its own is pid 1, so that says something only if the process that was
	// started is not known or is no more.
	if first, err := strconv.Atoi(m.ExecPID); err == nil && Alive(first) && cgroup(m.ExecPID) == cgroup("self") {
		return m.notMain()
	}
	for _, pid := range line {
		if parent, known := Parent(pid); known && (parent <= 1 || strconv.Itoa(parent) == m.PID) {
			return nil
		}
	}
	return m.notMain()
}

// has reports whether it is sure that the service manager has started the process: by the word of systemd, or because
// its parent listens on the socket.
func (m ServiceManager) has(pid int) bool {
	if strconv.Itoa(pid) == m.ExecPID || pid == 1 {
		return true
	}
	parent, known := Parent(pid)
	inode, bound := boundTo(m.Socket)
	return known && parent > 0 && bound && holds(parent, inode)
}

// cgroup returns in which control groups a process is: a number that is used again is another service's.
func cgroup(process string) string {
	b, _ := os.ReadFile("/proc/" + process + "/cgroup")
	return string(b)
}

// boundTo returns the inode number of the unix socket that is bound to a name, which for an abstract one begins with @:
// see /proc/net/unix in proc_pid_net(5).
func boundTo(name string) (inode uint64, found bool) {
	b, _ := os.ReadFile("/proc/self/net/unix")
	for line := range strings.Lines(string(b)) {
		// Num RefCount Protocol Flags Type St Inode Path
		line = strings.TrimSuffix(line, "\n")
		head, found := strings.CutSuffix(line, " "+name)
		fields := strings.Fields(head)
		if !found || len(fields) != 7 {
			continue
		}
		n, err := strconv.ParseUint(fields[6], 10, 64)
		return n, err == nil
	}
	return 0, false
}
