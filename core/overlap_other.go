//go:build !linux

package core

import (
	"context"
	"net"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// overlap does not exist here: a socket can't be bound beside one that listens already.
type overlap struct{ net.Listener }

func (h *inheritance) openOverlapping(context.Context, string, string) (net.Listener, error) {
	return nil, nil
}

func (h *inheritance) withAsides(in *inherited) (net.Listener, error) { return in.ln, nil }

func (o *overlap) words() *wire.Listener      { return nil }
func (o *overlap) begin(*Upgrader, *listener) {}
func (o *overlap) release(*listener)          {}
