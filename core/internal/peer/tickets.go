package peer

import (
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// SayTickets tells a new process that has asked for them the keys of the service's session tickets. It clears them, and
// what it has made of them.
func (n *Next) SayTickets(keys []byte) error {
	defer clear(keys)
	b, err := wire.AppendRaw(nil, wire.Tickets, keys)
	if err != nil {
		return err
	}
	defer clear(b)
	return n.write(b, timing.Word)
}
