package sockdiag

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
)

// What sock_diag(7) calls by these names. The structures are those of linux/sock_diag.h, linux/inet_diag.h and
// linux/unix_diag.h.
const (
	netlinkSockDiag  = 4  // NETLINK_SOCK_DIAG
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	noCookie         = ^uint64(0)
	stateTimeWait    = 6 // include/net/tcp_states.h, of unix sockets too
	stateListen      = 10
)

// inetID names a socket by its two ends.
type inetID struct {
	SPort, DPort [2]byte
	Src, Dst     [16]byte // of IPv4 the first four
	Interface    uint32   // 0: any
	Cookie       uint64
}

type inetRequest struct {
	Family, Protocol, Ext, Pad uint8
	States                     uint32 // a bit for each
	ID                         inetID
}

type inetAnswer struct {
	Family, State, Timer, Retrans       uint8
	ID                                  inetID
	Expires, RQueue, WQueue, UID, Inode uint32
}

type unixRequest struct {
	Family, Protocol    uint8
	Pad                 uint16
	States, Inode, Show uint32
	Cookie              uint64
}

type unixAnswer struct {
	Family, Type, State, Pad uint8
	Inode                    uint32
	Cookie                   uint64
}

// ask sends a request, and has hear called with each answer. The kernel has answered a question about one socket
// when the request is sent, and answers one about many bit by bit.
func ask(flags uint16, request any, hear func(b []byte) error) error {
	s, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = syscall.Close(s) }()
	head := syscall.NlMsghdr{Type: sockDiagByFamily, Flags: syscall.NLM_F_REQUEST | flags}
	head.Len = uint32(binary.Size(head) + binary.Size(request))
	var b bytes.Buffer
	_ = binary.Write(&b, binary.NativeEndian, head) // to memory it can't fail
	_ = binary.Write(&b, binary.NativeEndian, request)
	if err := syscall.Sendto(s, b.Bytes(), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 32<<10) // as much as the kernel puts into one message
	for {
		n, _, err := syscall.Recvfrom(s, buf, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		msgs, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return os.NewSyscallError("netlink", err)
		}
		for _, m := range msgs {
			switch m.Header.Type {
			case syscall.NLMSG_DONE:
				return nil
			case syscall.NLMSG_ERROR:
				if len(m.Data) < 4 {
					return fmt.Errorf("netlink: an error of %d bytes", len(m.Data))
				}
				return syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
			}
			if err := hear(m.Data); err != nil {
				return err
			}
		}
		if flags&syscall.NLM_F_DUMP == 0 {
			return nil
		}
	}
}
