//go:build unix

package owner

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks bounds the symlinks on a path, as the kernel does (path_resolution(7)).
const maxLinks = 40

// Program opens the program at the path, after all symlinks. The file and what leads to it can be changed by root and
// by this process's user alone, or the error is an *Error. On Linux the file can only be executed (O_PATH, open(2)).
func Program(path string) (*os.File, error) {
	w, err := walk(path, (*entry).check)
	if err != nil {
		return nil, err
	}
	defer w.close()
	last := w.last()
	if !last.info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file; put the program in its place", last.path)
	}
	if dir := w.stack[len(w.stack)-2]; shared(dir.info) {
		return nil, dir.refuse("everybody can put a program there", "put the program into a directory of its own")
	}
	return last.take()
}

// Dir returns nil if the directory at the path, after all symlinks, and what leads to it can be changed by root and by
// this process's user alone, or is sticky. Else the error is an *Error. On Linux a group of which nobody else is a member
// may write, too.
func Dir(path string) error {
	w, err := walk(path, (*entry).checkDir)
	if err != nil {
		return err
	}
	defer w.close()
	if last := w.last(); !last.info.IsDir() {
		return fmt.Errorf("%s is no directory", last.path)
	}
	return nil
}

// entry is what a name stands for.
type entry struct {
	path string // without symlinks above it
	info fs.FileInfo
	handle
}

// refuse is the error about an entry.
func (e *entry) refuse(why, remedy string) error {
	uid, gid := ids(e.info)
	return &Error{Path: e.path, Mode: e.info.Mode(), UID: uid, GID: gid, User: os.Geteuid(), why: why, remedy: remedy}
}

// check returns nil if nobody else can change the entry, or what is in it.
func (e *entry) check() error {
	if uid, _ := ids(e.info); !trusted(uid) {
		return e.refuse("it belongs to somebody else", fmt.Sprintf("chown %d %s", os.Geteuid(), e.path))
	}
	mode := e.info.Mode()
	if mode&fs.ModeSymlink == 0 && mode.Perm()&0o022 != 0 && !shared(e.info) {
		return e.refuse("its mode lets others write", "chmod go-w "+e.path)
	}
	return nil
}

// checkDir is check for what leads to a directory, and the directory itself.
func (e *entry) checkDir() error {
	err := e.check()
	if uid, _ := ids(e.info); err != nil && trusted(uid) && e.isForOwnGroup() {
		return nil
	}
	return err
}

// shared reports whether it is a directory in which everybody owns what he has made.
func shared(info fs.FileInfo) bool {
	return info.IsDir() && info.Mode()&fs.ModeSticky != 0 && info.Mode().Perm()&0o022 != 0
}

func ids(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

// walker follows a path by itself, and checks each step.
type walker struct {
	check func(*entry) error
	stack []*entry // from the root down to where it is, none of them a symlink
	links int
}

func (w *walker) last() *entry { return w.stack[len(w.stack)-1] }

// up goes to the directory above, down to a depth of n.
func (w *walker) up(n int) {
	for len(w.stack) > n {
		w.last().close()
		w.stack = w.stack[:len(w.stack)-1]
	}
}

func (w *walker) close() { w.up(0) }

// walk follows the path to its end.
func walk(path string, check func(*entry) error) (*walker, error) {
	if !filepath.IsAbs(path) {
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		path = dir + "/" + path // not cleaned: ".." behind a symlink is above where that leads
	}
	w := &walker{check: check}
	root, err := open(nil, "/")
	if err == nil {
		w.stack = append(w.stack, root)
		if err = check(root); err == nil {
			err = w.follow(path)
		}
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// follow goes on along a path, by its names.
func (w *walker) follow(path string) error {
	for names := split(path); len(names) > 0; {
		name := names[0]
		names = names[1:]
		if name == ".." {
			w.up(max(len(w.stack)-1, 1))
			continue
		}
		e, err := open(w.last(), name)
		if err != nil {
			return err
		}
		if err := w.check(e); err != nil {
			e.close()
			return err
		}
		if e.info.Mode()&fs.ModeSymlink == 0 {
			w.stack = append(w.stack, e)
			continue
		}
		target, err := e.target()
		e.close()
		if err != nil {
			return err
		}
		if w.links++; w.links > maxLinks {
			return &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			w.up(1)
		}
		names = slices.Concat(split(target), names)
	}
	return nil
}

func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
}
