//go:build !unix

package foreign

import "os"

// retire does not exist here.
var retire os.Signal

func released(int) error { return os.ErrProcessDone }
