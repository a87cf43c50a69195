//go:build !linux

package core

import (
	"context"

	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
)

// takeService does nothing: systemd is on Linux.
func takeService(context.Context, *foreign.Master, func(string) string) (*sdnotify.Socket, error) {
	return nil, nil
}
