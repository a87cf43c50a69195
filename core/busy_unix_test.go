//go:build unix

package core

import (
	"net"
	"net/http"
	"testing"

	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// TestTaken_SaysWhetherRequestsWereAnswered since the answer before: the old process leaves room for them then.
func TestTaken_SaysWhetherRequestsWereAnswered(t *testing.T) {
	t.Parallel()
	u, _ := playCurrent(t, notFound())
	ours, theirs := controlPair(t)
	p := peer.NewOld(theirs)
	for i, asks := range []bool{true, false, false} {
		client, server := pairAt(t, u, "")
		offer := frame(t, word{wire.Offer, wire.OfferMsg{Conns: []wire.Conn{{Listener: atListener}}}})
		must(t, u.receive(p, offer, []int{dupOf(t, server)}))
		var taken wire.TakenMsg
		must(t, (&player{t, ours}).awaits(wire.Taken).Decode(&taken))
		expectEqual(t, "busy", taken.Busy, i == 1)
		must(t, server.(*net.TCPConn).Close())
		if asks {
			client.Ask("/")
			expectEqual(t, "status", client.Answer().StatusCode, http.StatusNotFound)
		}
	}
}
