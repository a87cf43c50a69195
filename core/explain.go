package core

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
)

// notStarted makes the error for a file that could not be executed.
func notStarted(path string, err error) error {
	file, remedy := explain(path, boot.launch.dir)
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
	return &StartError{Path: path, File: file, Reason: remedy, Err: err}
}

// explain says what is at path: the usual reasons why it can't be started.
func explain(path, dir string) (file, remedy string) {
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Sprintf("the startup directory %s is gone; put it back", dir)
	}
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if target, lerr := os.Readlink(path); lerr == nil {
			return "symlink", fmt.Sprintf("it is a dangling symlink to %s; put the program there or point the link to one", target)
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
	if name := interpreter(path); name != "" {
		file += ", a script for " + printable([]byte(name))
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			remedy = fmt.Sprintf("its first line names %s, which does not exist; install it or change the line", printable([]byte(name)))
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
