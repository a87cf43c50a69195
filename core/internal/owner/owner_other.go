//go:build !unix

package owner

import "os"

// Program is not supported here.
func Program(string) (*os.File, error) { return nil, ErrUnsupported }

// Dir is not supported here.
func Dir(string) error { return ErrUnsupported }
