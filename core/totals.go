package core

import (
	"cmp"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/text"
)

// Totals counts for the whole service, over all its processes: see control.Totals. Before an Upgrader is made it returns
// nothing but zeros. Any goroutine may call it at any time. It costs about as much as a request, so call it now and then.
//
// What it returns was told to the supervisor before, if there is one, and to an old process that can still serve again.
// So the next Totals go on from there, whichever process is killed. It waits for their answers, for
// less than a second: if one stands still for longer and becomes current then, a count can go back.
func Totals() control.Totals {
	if u := running.Load(); u != nil {
		return u.Totals()
	}
	return control.Totals{}
}

// Totals is like the function Totals, for this Upgrader.
func (u *Upgrader) Totals() control.Totals {
	t := u.books.totals(u.account())
	u.teller.show()
	return t
}

// account is what this process has counted.
func (u *Upgrader) account() control.Account {
	l := u.ledger()
	c, _ := u.conns.Account()
	a := control.Account{
		PID: l.PID, Generation: l.Generation, Version: text.Cut(u.cfg.version, text.MaxVersion), State: l.State.String(),
		Started: startedAt, Told: time.Now(),
		Open: control.Open{Requests: l.Open.Requests, Connections: l.Open.Connections, Hijacked: l.Open.Hijacked},
		Counts: control.Counts{
			Servers: u.serverCounts(),
			Refused: l.Refused, ClosedPolitely: l.ClosedPolitely, ClosedIdle: l.ClosedIdle,
			Moved: movedCounts(c.Moved), StateBytes: c.Moved.StateBytes, Stayed: stayedCounts(l),
			CutRequests: uint64(l.Cut.Requests), CutConnections: uint64(l.Cut.Connections), CutHijacked: uint64(l.Cut.Hijacked),
			CutSockets: uint64(l.Cut.Sockets), CutBackground: uint64(l.Cut.Background),
		},
	}
	a.Counts.RequestSeconds, a.Counts.RequestErrors = u.measure.counts()
	u.books.mu.Lock()
	defer u.books.mu.Unlock()
	u.books.accounts++
	a.Ended, a.Number = u.books.ended, u.books.accounts
	a.Counts.Upgrades = slices.Clone(u.books.upgrades)
	a.Counts.UpgradeSeconds = u.books.upgradeSeconds.Plus(control.Histogram{})
	a.Counts.DrainSeconds = u.books.drainSeconds.Plus(control.Histogram{})
	return a
}

// serverCounts are those of the servers, by name: also of one that has counted nothing yet.
func (u *Upgrader) serverCounts() (list []control.ServerCounts) {
	add := func(name string, accepted, served uint64) {
		one := control.ServerCounts{Server: text.Cut(name, text.MaxName), Requests: served, Accepted: accepted}
		list = control.Counts{Servers: list}.Plus(control.Counts{Servers: []control.ServerCounts{one}}).Servers
	}
	names := make(map[*conns.Origin]string)
	for _, s := range u.servers.all() {
		if s.own != nil {
			o := &s.own.origin
			names[o] = cmp.Or(s.name, o.Bound)
			add(names[o], 0, 0)
		}
	}
	for _, o := range u.conns.Origins() {
		switch {
		case o.Accepted+o.Served == 0:
		case o.Origin == nil:
			add(control.OtherServers, o.Accepted, o.Served)
		default:
			add(cmp.Or(names[o.Origin], o.Origin.Bound), o.Accepted, o.Served)
		}
	}
	return list
}

func movedCounts(m conns.Moved) (list []control.MovedCounts) {
	for _, kind := range []struct {
		protocol string
		n        conns.MovedBoth
	}{
		{control.ProtocolHTTP1, m.HTTP1}, {control.ProtocolHTTP2, m.HTTP2},
		{control.ProtocolWebSocket, m.WebSocket}, {control.ProtocolOther, m.Other},
	} {
		if kind.n.Clear > 0 {
			list = append(list, control.MovedCounts{Protocol: kind.protocol, Connections: kind.n.Clear})
		}
		if kind.n.TLS > 0 {
			list = append(list, control.MovedCounts{Protocol: kind.protocol, TLS: true, Connections: kind.n.TLS})
		}
	}
	return list
}

func stayedCounts(l Ledger) (list []control.StayedCounts) {
	for _, s := range []control.StayedCounts{
		{Protocol: control.ProtocolHTTP2, Reason: "streams", Connections: l.StayedHTTP2.Streams},
		{Protocol: control.ProtocolHTTP2, Reason: "refused", Connections: l.StayedHTTP2.Refused},
		{Protocol: control.ProtocolHTTP2, Reason: "other", Connections: l.StayedHTTP2.Other},
		{Protocol: control.ProtocolTLS, Reason: "version", Connections: l.StayedTLS.Version},
		{Protocol: control.ProtocolTLS, Reason: "suite", Connections: l.StayedTLS.Suite},
		{Protocol: control.ProtocolTLS, Reason: "key", Connections: l.StayedTLS.Key},
		{Protocol: control.ProtocolTLS, Reason: "other", Connections: l.StayedTLS.Other},
	} {
		if s.Connections > 0 {
			list = append(list, s)
		}
	}
	return list
}
