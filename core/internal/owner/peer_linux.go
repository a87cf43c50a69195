package owner

import "syscall"

// peerOf asks for SO_PEERCRED: see unix(7).
func peerOf(s uintptr) (uid int, known bool, err error) {
	cred, err := syscall.GetsockoptUcred(int(s), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return 0, false, err
	}
	return int(cred.Uid), true, nil
}
