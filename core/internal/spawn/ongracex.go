package spawn

import (
	"debug/buildinfo"
	"os"
	"runtime/debug"
	"slices"

	"github.com/gracex-go/gracex/core/internal/proc"
)

// module is this module's path.
const module = "github.com/gracex-go/gracex"

// kind is what a program file is.
type kind uint8

const (
	untold   kind = iota // a script, or a program without build information: it may be on gracex
	onGracex             // by its build information
	another              // a Go program without gracex
)

// kindOf looks at the file at path.
func kindOf(path string) kind {
	if fi, err := os.Stat(path); err != nil || !fi.Mode().IsRegular() {
		return untold // a FIFO holds up whoever opens it
	}
	info, err := buildinfo.ReadFile(path)
	switch {
	case err != nil:
		return untold
	case info.Main.Path == module, slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == module }):
		return onGracex
	}
	return another
}

// OnGracex reports whether the file at path is a program on gracex, by its build information. That of a script does
// not tell.
func OnGracex(path string) bool { return kindOf(path) == onGracex }

// IsWithoutGracex reports whether the file at path is a Go program that is not on gracex, by its build information.
func IsWithoutGracex(path string) bool { return kindOf(path) == another }

// BehindWrapper returns l for a process that has started from such a file itself, if r is its release: what it has
// become is a program on gracex, for all that is known, and needs no flag.
func (l Launch) BehindWrapper(r *Release) Launch {
	l.wrapped = r != nil && r.wrapped
	return l
}

// needsFlag reports whether the program at path is to find GracefulFlag. One on gracex does not need it, and a package
// that parses flags before core is initialized would not know it. Behind a wrapper it can do without only where it sees
// that nothing else is between it and the old process.
func (l Launch) needsFlag(path string) bool {
	_, sees := proc.Executable(os.Getpid())
	return !sees || !l.wrapped || kindOf(path) != untold
}
