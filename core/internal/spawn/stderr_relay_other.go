//go:build !unix

package spawn

import (
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// startRelay is not supported here.
func startRelay(syscall.RawConn, []string) error { return fd.ErrUnsupported }
