package sockdiag

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
)

// TCP is one end of a TCP connection.
type TCP struct {
	Inode  uint32 // of the socket, as in /proc/PID/fd; 0 while nobody has accepted the connection
	Acked  bool   // the other end has acknowledged all that was sent
	IsRead bool   // all that came was read
}

// LookUp returns the end of a connection of this machine that has these addresses, the zero TCP if there is none: also for
// one that only waits for late segments (TIME_WAIT).
func LookUp(local, remote netip.AddrPort) (found TCP, err error) {
	req := inetRequest{Family: syscall.AF_INET6, Protocol: syscall.IPPROTO_TCP, States: ^uint32(0)}
	req.ID.Cookie = noCookie
	binary.BigEndian.PutUint16(req.ID.SPort[:], local.Port())
	binary.BigEndian.PutUint16(req.ID.DPort[:], remote.Port())
	src, dst := local.Addr().Unmap(), remote.Addr().Unmap()
	if src.Is4() && dst.Is4() { // that finds a socket for both families, too
		req.Family = syscall.AF_INET
	}
	copy(req.ID.Src[:], src.AsSlice())
	copy(req.ID.Dst[:], dst.AsSlice())
	err = ask(0, req, func(b []byte) error {
		var a inetAnswer
		if _, err := binary.Decode(b, binary.NativeEndian, &a); err != nil {
			return err
		}
		// A listener is found where there is no connection.
		if a.State != stateListen && a.State != stateTimeWait {
			found = TCP{a.Inode, a.WQueue == 0, a.RQueue == 0}
		}
		return nil
	})
	if errors.Is(err, syscall.ENOENT) {
		err = nil
	}
	return found, err
}
