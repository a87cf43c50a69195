//go:build !unix

package main

import "syscall"

// upgradeSignal is none: without the signals of Unix there is nothing to show.
const upgradeSignal = syscall.Signal(0)
