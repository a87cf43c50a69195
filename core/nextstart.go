package core

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gracex-go/gracex/core/internal/proc"
)

// nextStart says what a crash or a boot would start, after an upgrade that was not good: that is what lies at the launch
// path, whoever serves. It is empty where that can't be seen.
func (u *Upgrader) nextStart() string {
	path, err := u.launch().Path()
	if err != nil {
		return ""
	}
	next, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("the next start would fail: there is no %s; put the program back", path)
	case err != nil:
		return fmt.Sprintf("what the next start gets can't be seen: %v", err)
	case u.release.IsWrapped():
		return fmt.Sprintf("the next start gets what %s starts", path)
	}
	exe, ok := proc.Executable(os.Getpid())
	if !ok {
		return ""
	}
	own, err := os.Stat(exe)
	switch {
	case err != nil:
		return ""
	case os.SameFile(own, next):
		return fmt.Sprintf("the next start gets %s, which is what this process runs", path)
	}
	return fmt.Sprintf("the next start gets %s, which is not what this process runs: put the program back, or deploy a good one", path)
}
