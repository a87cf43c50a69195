//go:build !linux

package proc

import "os"

// ShowsPrograms reports whether this system shows which program another process runs.
const ShowsPrograms = false

// RunsThisProgram can't be told here.
func RunsThisProgram(int) bool { return true }

// OldVersion returns the parent: which program that runs can't be told here.
func OldVersion() (*os.Process, error) {
	if StartedBy <= 1 || os.Getppid() != StartedBy {
		return nil, os.ErrProcessDone
	}
	return os.FindProcess(StartedBy)
}

// StartedWith can't be told here.
func StartedWith(int, string) bool { return false }

// Keeps can't be told here.
func Keeps(int, string, []uint64) error { return nil }
