//go:build unix && !linux

package supervise

import "os"

// maskSignals is not supported here: a signal in the moment of the execve acts as the system has it.
func maskSignals(bool, []os.Signal) bool { return false }

func unblockInThread([]os.Signal) {}

// IgnoreHangup is not supported here: a SIGHUP in the moment of the execve ends the process.
func IgnoreHangup() (heed func()) { return func() {} }

// StopTimers does nothing here.
func StopTimers() (start func()) { return func() {} }
