//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

const supported = true

// ownGroup makes cmd start in a process group of its own, which its pid names.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// upgrade asks a process to upgrade.
func upgrade(pid int) error { return syscall.Kill(pid, syscall.SIGUSR2) }

// terminate asks the processes of a group to end. One that has ended is no error.
func terminate(group int) { _ = syscall.Kill(-group, syscall.SIGTERM) }

// kill ends the processes of a group.
func kill(group int) { _ = syscall.Kill(-group, syscall.SIGKILL) }
