package owner

import "github.com/gracex-go/gracex/core/internal/fd"

// peerOf asks for the process that has called connect(2) or listen(2).
func peerOf(s uintptr) (uid int, known bool, err error) {
	maker, err := fd.Maker(int(s))
	return maker.UID, err == nil, err
}
