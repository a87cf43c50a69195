//go:build !unix

package procgroup

import (
	"os/exec"
	"syscall"
)

const sigstop, sigcont = syscall.Signal(0), syscall.Signal(0)

// Lead does nothing, because the system has no process groups.
func Lead(*exec.Cmd) {}

// ResetHangup does nothing.
func ResetHangup() {}

// Members returns none.
func (Group) Members() []Member { return nil }

// Has reports false.
func (Group) Has(int) bool { return false }

// Kill does nothing.
func (Group) Kill() {}

func (Group) killMarked() {}

// Reap returns none.
func (Group) Reap() []Exit { return nil }
