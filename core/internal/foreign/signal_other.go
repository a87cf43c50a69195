//go:build !unix

package foreign

import "os"

// The signals do not exist here.
var retire, release os.Signal
