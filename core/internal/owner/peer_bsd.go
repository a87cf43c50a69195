//go:build darwin || freebsd

package owner

import "syscall"

const (
	solLocal       = 0 // SOL_LOCAL in sys/un.h
	localPeerCred  = 1 // LOCAL_PEERCRED
	xucredVersion  = 0 // XUCRED_VERSION in sys/ucred.h
	fieldOfVersion = 0 // of struct xucred, whose first two fields have 32 bits each
	fieldOfUID     = 1
)

// peerOf asks for LOCAL_PEERCRED: see unix(4). Package syscall has no struct xucred, and the kernel cuts the answer to
// what there is room for. The filter of ICMPv6 is eight numbers of 32 bits.
func peerOf(s uintptr) (uid int, known bool, err error) {
	x, err := syscall.GetsockoptICMPv6Filter(int(s), solLocal, localPeerCred)
	if err != nil {
		return 0, false, err
	}
	return int(x.Filt[fieldOfUID]), x.Filt[fieldOfVersion] == xucredVersion, nil
}
