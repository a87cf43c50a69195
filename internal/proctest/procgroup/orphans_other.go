//go:build !linux

package procgroup

import "errors"

// AdoptOrphans returns errors.ErrUnsupported.
func AdoptOrphans() error { return errors.ErrUnsupported }
