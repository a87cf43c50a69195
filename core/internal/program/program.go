// Package program says what lies at a path, and why it can't be started.
package program

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/text"
)

// Diagnose is Describe for a file whose start has failed with err. The remedy fits the
// error; it is empty if nothing is known.
func Diagnose(path, dir string, err error) (file, remedy string) {
	file, remedy = Describe(path, dir)
	if remedy == "" {
		remedy = scarce(err)
	}
	if remedy == "" && errors.Is(err, fs.ErrPermission) {
		remedy = "this user may not execute it there; look at the directories above it, and whether the file system is mounted noexec"
	}
	if remedy == "" && errors.Is(err, syscall.ENOEXEC) {
		if machine(path) == "" {
			remedy = "it is neither a whole program nor a script that begins with #!; was the copy complete?"
		} else {
			remedy = "it is not a program for this machine; build it with GOOS=" + runtime.GOOS + " GOARCH=" + runtime.GOARCH
		}
	}
	return file, remedy
}

// Describe returns the mode, the owner and the architecture of the file at path, as far as they can be read,
// and what to do about the usual reasons why it can't be started in the directory dir.
func Describe(path, dir string) (file, remedy string) {
	if _, err := os.Stat(dir); err != nil {
		return "", GoneDir(dir, ", start the program by an absolute path, or give core.WithWorkingDirectory")
	}
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if target, lerr := os.Readlink(path); lerr == nil {
			return "symlink", fmt.Sprintf("it is a dangling symlink to %s; put the program there or point the link to one", target)
		}
		if RootChanged() {
			return "", "there is no such file; " + insideRoot
		}
		return "", "there is no such file; put the new version there"
	}
	if err != nil {
		return "", err.Error()
	}
	file = fmt.Sprintf("mode %v%s", fi.Mode(), owner(fi))
	switch {
	case fi.IsDir():
		return file, "it is a directory; put the program in its place"
	case !fi.Mode().IsRegular():
		return file, "it is no regular file; put the program in its place"
	case fi.Mode()&0o111 == 0:
		return file, "it is not executable; chmod +x it"
	case fi.Size() == 0:
		return file, "it is empty; was the copy complete?"
	}
	if name := Interpreter(path); name != "" {
		file += ", a script for " + text.Printable(name)
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			remedy = fmt.Sprintf("its first line names %s, which does not exist; install it or change the line", text.Printable(name))
		}
		return file, remedy
	}
	here := runtime.GOOS + "/" + runtime.GOARCH
	built := machine(path)
	switch built {
	case "":
		return file, ""
	case here:
		file += ", built for " + built
	default:
		return file + ", built for " + built + ", this machine is " + here, ""
	}
	if name := loader(path); name != "" {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			remedy = "it needs the loader " + name + ", which does not exist here; build it with CGO_ENABLED=0, or for this system"
		}
	}
	return file, remedy
}
