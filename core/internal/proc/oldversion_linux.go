package proc

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ShowsPrograms reports whether this system shows which program another process runs.
const ShowsPrograms = true

// image is what the kernel shows of the program that a process runs.
type image struct {
	file     os.FileInfo // nil if it can't be seen
	path     string      // resolved; that which it had, if it was replaced since
	replaced bool
	launched string // the first argument, and the directory before it: unresolved
}

// deleted ends the path of a file that is no more: see exe in proc_pid_exe(5).
const deleted = " (deleted)"

// imageOf reads the program of a process, by its number or "self". The parts that this process may not see stay empty:
// a process that has changed its user shows no more than its arguments.
func imageOf(process string) image {
	var im image
	dir := "/proc/" + process + "/"
	im.file, _ = os.Stat(dir + "exe")
	path, _ := os.Readlink(dir + "exe")
	im.path, im.replaced = strings.CutSuffix(path, deleted)
	im.launched = argument(process, 0)
	return im
}

// argument returns an argument of a process that is the path of a program, with the working directory before it; "" if
// it is not known. The name of a program in PATH stays what it is.
func argument(process string, n int) string {
	line, _ := os.ReadFile("/proc/" + process + "/cmdline")
	args := strings.Split(string(line), "\x00")
	if n >= len(args) {
		return ""
	}
	name := args[n]
	if !strings.ContainsRune(name, filepath.Separator) || filepath.IsAbs(name) {
		return name
	}
	cwd, err := os.Readlink("/proc/" + process + "/cwd")
	if err != nil {
		return ""
	}
	return filepath.Join(cwd, name)
}

// isVersionOf reports whether the processes run versions of one program: the file at a path, or the one that was there
// before; or they were started by one launch path, whose symlinks may have been switched since. Two names of one file
// are two programs.
func (im image) isVersionOf(other image) bool {
	if im.launched != "" && im.launched == other.launched {
		return true
	}
	if im.path == "" || im.path != other.path {
		return false
	}
	return im.replaced || other.replaced || os.SameFile(im.file, other.file) // else it is the path of another mount namespace
}

// RunsThisProgram reports whether a process runs a version of this process's program.
func RunsThisProgram(pid int) bool { return imageOf(strconv.Itoa(pid)).isVersionOf(imageOf("self")) }

// RunsAt reports whether a process runs the file at a path, or the one that was there before, or was started by that
// path.
func RunsAt(pid int, path string) bool {
	im := imageOf(strconv.Itoa(pid))
	return path != "" && (im.path == path || im.launched == path)
}

// File is the path of the file that a process runs, or of the one that it was before it was removed. It is empty if it
// can't be seen.
func File(pid int) string { return imageOf(strconv.Itoa(pid)).path }

// shells can stand between a process and a program that it starts, and wait for that.
var shells = []string{"sh", "ash", "bash", "busybox", "dash", "ksh", "mksh", "yash", "zsh"}

// isShell reports whether a process is a shell, such as one that runs a script, its second argument.
func isShell(pid int) bool {
	name := filepath.Base(imageOf(strconv.Itoa(pid)).path)
	return slices.Contains(shells, name)
}

// OldVersion returns the process that has started this one in its own place: it runs this program, and is the parent,
// or has shells between. What is returned can't be another process that got its number. The error is
// os.ErrProcessDone if the parent has ended or is about to, or is pid 1, which must live, and else says why it is no
// such process (ErrNotShown).
func OldVersion() (*os.Process, error) {
	if StartedBy <= 1 {
		return nil, os.ErrProcessDone
	}
	self := imageOf("self")
	var scripts []string
	child, pid := os.Getpid(), StartedBy
	for pid > 1 {
		p, err := os.FindProcess(pid) // the handle first, then the checks
		if err != nil {
			return nil, err
		}
		im := imageOf(strconv.Itoa(pid))
		ours := im.isVersionOf(self) || im.launched != "" && slices.Contains(scripts, im.launched)
		if parent, _ := Parent(child); parent != pid {
			_ = p.Release()
			return nil, os.ErrProcessDone
		}
		if ours {
			return p, nil
		}
		_ = p.Release()
		if isExiting(pid) {
			return nil, os.ErrProcessDone
		}
		if !isShell(pid) {
			return nil, NotShown(pid, "does not run this program")
		}
		scripts = append(scripts, argument(strconv.Itoa(pid), 1)) // which may be there in place of the program
		child = pid
		pid, _ = Parent(child)
	}
	return nil, NotShown(child, "is a shell, and pid 1 has started it")
}

// Keeps reports why the system does not show that a process keeps the sockets and has set the variable, as a master of
// workers does that this process is one of. A wrapper between the two may have the sockets, but got the variable.
func Keeps(pid int, variable string, inodes []uint64) error {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return NotShown(pid, "can't be looked at")
	}
	for assignment := range strings.SplitSeq(string(env), "\x00") {
		if name, _, _ := strings.Cut(assignment, "="); name == variable {
			return NotShown(pid, "was started with "+variable+" itself")
		}
	}
	if !holds(pid, inodes...) {
		return NotShown(pid, "does not keep the sockets")
	}
	return nil
}

// StartedWith reports whether a process was started with an assignment in its environment, as far as can be seen.
func StartedWith(pid int, assignment string) bool {
	env, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return slices.Contains(strings.Split(string(env), "\x00"), assignment)
}

// holds reports whether a process has all these sockets open, as far as can be seen.
func holds(pid int, inodes ...uint64) bool {
	links, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
	open := make(map[string]bool, len(links))
	for _, link := range links {
		target, _ := os.Readlink(link)
		open[target] = true
	}
	return len(inodes) > 0 && !slices.ContainsFunc(inodes, func(n uint64) bool { return !open["socket:["+strconv.FormatUint(n, 10)+"]"] })
}
