package core

import (
	"crypto/tls"
	"net"

	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/tickets"
)

// TicketKeys returns a copy of conf whose session tickets the other generations can open, too. It is for TLS that gracex
// does not see: grpc-go's credentials (grpcx.NewTLS does it for them), tls.NewListener, and an accept loop of the program's
// own. The servers of ListenAndServeTLS, AttachTLS and the adapters have it without. docs/tls.md has an example of each.
//
// The name tells one such server from another one of the program, because they must not take each other's tickets. It has
// to be the same in all generations.
//
// The copy always uses the keys that the service has at that moment: nothing has to be done when they change, and copies
// of it, as grpc-go and net/http make, do the same. A config from its GetConfigForClient is included. Any goroutine may
// call TicketKeys at any time, also before there is an Upgrader. Without one, and with WithTicketKeys(false), the copy has
// keys of its own.
//
// A config that has SessionTicketsDisabled, WrapSession, UnwrapSession, SessionTicketKey or the keys of a
// SetSessionTicketKeys is left alone, and so is one of GetConfigForClient. If conf is nil, the copy is of an empty config.
//
// A session has the client's certificate with which it began. crypto/tls does not call VerifyPeerCertificate for it again,
// and before Go 1.25.7 it does not look at ClientCAs either (CVE-2025-68121). So do not call TicketKeys for a server that asks for client
// certificates, unless its VerifyConnection has the last word: a new version may have other rules.
func TicketKeys(name string, conf *tls.Config) *tls.Config {
	return shareTickets(name, conf, tickets.HasOwn)
}

// shareTickets is TicketKeys for configs that leave does not report.
func shareTickets(name string, conf *tls.Config, leave func(*tls.Config) bool) *tls.Config {
	sealer := func() *tickets.Sealer {
		if u := running.Load(); u != nil && u.cfg.tickets {
			return u.tickets.Sealer("name " + name)
		}
		return nil
	}
	if conf == nil {
		conf = new(tls.Config)
	}
	return tickets.Share(conf.Clone(), sealer, leave)
}

// withTickets returns the config of a server on the address, which may have none.
func (u *Upgrader) withTickets(conf *tls.Config, addr net.Addr) *tls.Config {
	if !u.cfg.tickets {
		return conf
	}
	if conf == nil {
		conf = new(tls.Config)
	}
	sealer := u.tickets.Sealer("listener " + addr.Network() + " " + addr.String())
	return tickets.Share(conf, func() *tickets.Sealer { return sealer }, keepsTickets)
}

// keepsTickets reports whether the tickets of a server are left as they are. A session stands for the client certificate
// with which it began, and a new version may have other rules for those (golang/go#77217).
func keepsTickets(conf *tls.Config) bool {
	return conf.ClientAuth != tls.NoClientCert || tickets.HasOwn(conf)
}

// mayRotateTickets reports whether this process may make another key: none that is on probation, or has
// somebody there, because the other one, if it comes to serve, could not open the tickets.
func (u *Upgrader) mayRotateTickets() bool {
	st := u.State()
	return u.inherited.committed.Load() && (st == StateCurrent || st == StateUpgrading)
}

// handTickets gives the new process the keys, before it is told to accept.
func (l *lifecycle) handTickets(next *peer.Next) {
	if !l.cfg.tickets || !next.Said().Tickets {
		return
	}
	keys := l.u.tickets.Payload()
	if keys == nil {
		return
	}
	if err := next.SayTickets(keys); err != nil { // its end is heard
		l.log.Warn("the new process has not got the keys of session tickets: TLS clients shake hands in full", "error", err)
	}
}

// takeTickets takes the service's.
func (u *Upgrader) takeTickets(keys []byte) {
	if !u.cfg.tickets {
		return
	}
	if err := u.tickets.Take(keys); err != nil {
		u.log.Warn("the old process has handed no keys of session tickets: TLS clients shake hands in full", "error", err)
	}
}
