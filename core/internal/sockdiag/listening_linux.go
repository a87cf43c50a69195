package sockdiag

import (
	"encoding/binary"
	"syscall"
)

// Listening returns the inodes of all sockets that listen, of whatever process: TCP's of both families, and unix sockets.
func Listening() (inodes map[uint64]bool, err error) {
	inodes = make(map[uint64]bool)
	for _, family := range []uint8{syscall.AF_INET, syscall.AF_INET6} {
		req := inetRequest{Family: family, Protocol: syscall.IPPROTO_TCP, States: 1 << stateListen}
		err := ask(syscall.NLM_F_DUMP, req, func(b []byte) error {
			var a inetAnswer
			_, err := binary.Decode(b, binary.NativeEndian, &a)
			inodes[uint64(a.Inode)] = true
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	req := unixRequest{Family: syscall.AF_UNIX, States: 1 << stateListen, Cookie: noCookie}
	err = ask(syscall.NLM_F_DUMP, req, func(b []byte) error {
		var a unixAnswer
		_, err := binary.Decode(b, binary.NativeEndian, &a)
		inodes[uint64(a.Inode)] = true
		return err
	})
	return inodes, err
}
