package control

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gracex-go/gracex/core/internal/proc"
)

// listening is the flag __SO_ACCEPTCON in /proc/net/unix: see proc_net(5).
const listening = 0x10000

// socketsOf returns the paths of the unix sockets that a process listens on: those of /proc/<pid>/net/unix
// whose inode one of its descriptors is. The error is that it can't be seen.
func socketsOf(pid int) (paths []string, err error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	entries, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return nil, err
	}
	inodes := make(map[string]bool)
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, "fd", e.Name()))
		if inode, ok := strings.CutPrefix(target, "socket:["); err == nil && ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	f, err := os.Open(filepath.Join(dir, "net", "unix"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	cwd, _ := os.Readlink(filepath.Join(dir, "cwd"))
	root := proc.Root(pid) // the paths are those that the process sees
	for sc := bufio.NewScanner(f); sc.Scan(); {
		// Num RefCount Protocol Flags Type St Inode Path
		fields := strings.Fields(sc.Text())
		if len(fields) < 8 || !inodes[fields[6]] {
			continue
		}
		flags, err := strconv.ParseUint(fields[3], 16, 32)
		path := strings.Join(fields[7:], " ")
		if err != nil || flags&listening == 0 || strings.HasPrefix(path, "@") {
			continue
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(cwd, path)
		}
		paths = append(paths, root+path)
	}
	return paths, nil
}

// socketsOfProgram returns the paths of the unix sockets on which processes listen that run the program, and of those
// whose file has only its name: it may be another release of it, or another program.
func socketsOfProgram(program string) (own, named []string) {
	want := resolved(program)
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		paths := &named
		if proc.RunsAt(pid, program) || proc.RunsAt(pid, want) {
			paths = &own
		} else if filepath.Base(proc.File(pid)) != filepath.Base(want) {
			continue
		}
		sockets, _ := socketsOf(pid)
		*paths = append(*paths, sockets...)
	}
	return own, named
}
