package proc

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// IgnoresHangup reports whether SIGHUP is to stay ignored in a process that was started so (nohup). A terminal that closes
// is no wish for an upgrade. Where SIGHUP alone upgrades it is caught all the same: nothing else would.
func IgnoresHangup(upgrade []os.Signal) bool {
	alone := slices.Contains(upgrade, os.Signal(syscall.SIGHUP)) &&
		!slices.ContainsFunc(upgrade, func(sig os.Signal) bool { return sig != syscall.SIGHUP })
	return signal.Ignored(syscall.SIGHUP) && !alone
}
