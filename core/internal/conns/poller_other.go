//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package conns

import "github.com/gracex-go/gracex/core/internal/fd"

// poller is not supported here: a goroutine waits for each connection.
type poller struct{}

func newPoller() (*poller, error) { return nil, fd.ErrUnsupported }

func (*poller) add(int) error        { return fd.ErrUnsupported }
func (*poller) remove(int)           {}
func (*poller) wait() ([]int, error) { return nil, fd.ErrUnsupported }
func (*poller) close()               {}
