//go:build !unix

package procgroup

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

const sigstop, sigcont = syscall.Signal(0), syscall.Signal(0)

// Lead does nothing: the system has no process groups.
func Lead(*exec.Cmd) {}

// Members returns none.
func (Group) Members(...int) []Member { return nil }

// Has reports false.
func (Group) Has(int) bool { return false }

// Signal returns errors.ErrUnsupported.
func (Group) Signal(int, os.Signal) error { return errors.ErrUnsupported }

// Kill does nothing.
func (Group) Kill() {}

// Reap returns none.
func (Group) Reap() []Exit { return nil }
