//go:build !unix

package spawn

import "github.com/gracex-go/gracex/core/internal/fd"

// Start is not supported here.
func Start(string, Launch, string, []int) (Process, error) { return nil, fd.ErrUnsupported }
