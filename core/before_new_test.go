package core

import (
	"net"
	"net/http"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// TestListen_BeforeTheUpgraderIsForIt, wrapped or not, and it does not get a listener that was closed.
func TestListen_BeforeTheUpgraderIsForIt(t *testing.T) {
	t.Parallel()
	Alone(t) // nobody else's Upgrader takes them
	ln, err := Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	closed, err := Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	_, err = closed.Accept()
	expectEqual(t, "a closed one accepts", err, net.ErrClosed)
	u := newAlone(t, realSystem, nil)
	must(t, u.Attach(&http.Server{}, Hiding{ln}))
	must(t, u.Ready())
	passed, dups, err := u.passing.passOn()
	must(t, err)
	expectEqual(t, "the next generation would get", len(passed), 1)
	expectEqual(t, "its address", descriptions(passed)[0].Address, "127.0.0.1:0")
	must(t, fd.Close(dups[0]))
	resp, err := http.Get("http://" + ln.Addr().String())
	must(t, err)
	must(t, resp.Body.Close())
	expectEqual(t, "accepted", u.Status().Ledger.Accepted, 1)
	late, err := Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	expectEqual(t, "one that is opened while there is an Upgrader is its own", u.passing.find(late.Addr()) != nil, true)
}
