//go:build unix

package main

import "syscall"

// upgradeSignal asks a process to upgrade.
const upgradeSignal = syscall.SIGUSR2
