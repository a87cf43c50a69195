package publish

import (
	"errors"
	"fmt"
)

// ErrRefused means that hosts would not accept the release, or that it contradicts what was published before. The folder
// offers what it offered. Every other error is about this machine: a file can't be read or written.
var ErrRefused = errors.New("refused")

func refuse(format string, a ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, a...))
}
