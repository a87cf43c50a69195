package sockdiag

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
)

// TCP is one end of a TCP connection.
type TCP struct {
	Local, Remote netip.AddrPort // of IPv4 also for a socket for both families
	Inode         uint32         // of the socket, as in /proc/PID/fd; 0 while nobody has accepted the connection
	Acked         bool           // the other end has acknowledged all that was sent
	IsRead        bool           // all that came was read
}

// Connections returns the ends that processes have of all connections. A socket that was closed is nobody's, and not among
// them.
func Connections() (all []TCP, err error) {
	const states = ^uint32(1<<stateListen | 1<<stateTimeWait)
	for _, family := range []uint8{syscall.AF_INET, syscall.AF_INET6} {
		req := inetRequest{Family: family, Protocol: syscall.IPPROTO_TCP, States: states}
		err := ask(syscall.NLM_F_DUMP, req, func(b []byte) error {
			var a inetAnswer
			_, err := binary.Decode(b, binary.NativeEndian, &a)
			if a.Inode != 0 {
				all = append(all, a.tcp())
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
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
			found = a.tcp()
		}
		return nil
	})
	if errors.Is(err, syscall.ENOENT) {
		err = nil
	}
	return found, err
}

func (a inetAnswer) tcp() TCP {
	at := func(addr [16]byte, port [2]byte) netip.AddrPort {
		ip := netip.AddrFrom16(addr).Unmap()
		if a.Family == syscall.AF_INET {
			ip = netip.AddrFrom4([4]byte(addr[:4]))
		}
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(port[:]))
	}
	return TCP{at(a.ID.Src, a.ID.SPort), at(a.ID.Dst, a.ID.DPort), a.Inode, a.WQueue == 0, a.RQueue == 0}
}
