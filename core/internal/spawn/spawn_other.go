//go:build !unix

package spawn

import "github.com/gracex-go/gracex/core/internal/fd"

// CanCheck reports whether a program can be looked at before it is executed.
const CanCheck = false

// RestoreName does nothing here.
func RestoreName() {}

// Start is not supported here.
func Start(string, Launch, string, []int) (Process, error) { return nil, fd.ErrUnsupported }
