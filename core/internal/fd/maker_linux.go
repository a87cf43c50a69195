package fd

import "syscall"

// Maker returns the process that has made the socket pair of which s is an end (SO_PEERCRED, unix(7)). It reports
// false where the system does not tell.
func Maker(s int) (pid int, ok bool) {
	cred, err := syscall.GetsockoptUcred(s, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return 0, false
	}
	return int(cred.Pid), true
}
