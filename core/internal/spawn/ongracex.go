package spawn

import (
	"debug/buildinfo"
	"os"
	"runtime/debug"
	"slices"
)

// module is this module's path.
const module = "github.com/gracex-go/gracex"

// OnGracex reports whether the file at path is a program on gracex, by its build information. That of a script does
// not tell.
func OnGracex(path string) bool {
	if fi, err := os.Stat(path); err != nil || !fi.Mode().IsRegular() {
		return false // a FIFO holds up whoever opens it
	}
	info, err := buildinfo.ReadFile(path)
	return err == nil &&
		(info.Main.Path == module || slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == module }))
}
