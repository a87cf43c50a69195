//go:build !linux

// Package acl lets single users use a file that is another user's. This system has no such lists, or in another form.
package acl

import (
	"errors"
	"os"
)

// ReadWrite is what a user needs to connect to a unix socket.
const ReadWrite = 6

// Supported reports whether this system has such lists.
const Supported = false

// Set is not possible here.
func Set(string, uint16, []int) error { return errors.ErrUnsupported }

// Clear has nothing to do here.
func Clear(string, os.FileMode) error { return nil }
