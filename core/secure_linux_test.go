package core

import (
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// TestReceive_MarksATLSConnection when the answer is out, and not before: what the old process finds marked has been
// encrypted on here.
func TestReceive_MarksATLSConnection(t *testing.T) {
	t.Parallel()
	for name, holds := range map[string]bool{"waits": false, "holds": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, _, addr, cert := playSecure(t)
			_, _, _, offer, s := sealedTLS(t, u, addr, cert, holds)
			own, err := fd.DupOf(s)
			must(t, err)
			defer func() { _ = fd.Close(own) }()
			before := fd.MarkOf(own)
			msg, secrets, err := wire.Frame{Type: wire.Offer, Payload: offer[8:]}.DecodeOffer()
			must(t, err)
			starts, _ := u.adoptConns(msg.Conns, secrets, []int{s})
			if len(starts) != 1 || fd.MarkOf(own) != before {
				t.Fatalf("%d are taken, and the mark is %d, was %d", len(starts), fd.MarkOf(own), before)
			}
			if starts[0](true); fd.MarkOf(own) == before {
				t.Error("it is not marked")
			}
		})
	}
}
