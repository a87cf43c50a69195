package tickets

import (
	"crypto/tls"
	"sync"
	"time"
)

// Share returns a copy of conf whose tickets are sealed and opened by what sealer returns, and by conf's own keys while
// that is nil. So are those of the configs that its GetConfigForClient returns. A config that leave reports is returned
// as it is. If that is conf, nothing is done.
//
// There are two ways to give a server keys, and this is the one that works for all: net/http and grpc-go serve with a copy
// of a config, and a copy does not notice a later SetSessionTicketKeys. Hooks do. For a config of GetConfigForClient
// crypto/tls takes the keys of the outer one, but not its hooks.
func Share(conf *tls.Config, sealer func() *Sealer, leave func(*tls.Config) bool) *tls.Config {
	if leave(conf) {
		return conf
	}
	c := hooked(conf, sealer)
	if get := conf.GetConfigForClient; get != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			own, err := get(hello)
			if err != nil || own == nil || sealer() == nil || leave(own) {
				return own, err
			}
			return hooked(own, sealer), nil
		}
	}
	return c
}

// hooked returns a copy of conf with the hooks.
func hooked(conf *tls.Config, sealer func() *Sealer) *tls.Config {
	c := conf.Clone()
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		by, err := keysOf(sealer(), conf)
		if err != nil {
			return nil, err
		}
		return by.EncryptTicket(cs, ss)
	}
	c.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		by, err := keysOf(sealer(), conf)
		if err != nil {
			return nil, err
		}
		return by.DecryptTicket(ticket, cs)
	}
	return c
}

func keysOf(s *Sealer, own *tls.Config) (*tls.Config, error) {
	if s == nil {
		return own, nil
	}
	return s.current()
}

// HasOwn reports whether the program says itself how the tickets of conf are sealed, or that there are none.
func HasOwn(conf *tls.Config) bool {
	return conf.SessionTicketsDisabled || conf.WrapSession != nil || conf.UnwrapSession != nil || hasKeys(conf)
}

// hasKeys reports whether conf has the keys of a SetSessionTicketKeys, or a SessionTicketKey. They can't be seen, but they are still there when
// those that crypto/tls makes by itself are too old: two copies of conf, of which one is ahead by that time, have
// nothing else in common.
func hasKeys(conf *tls.Config) bool {
	session := anySession()
	if session == nil {
		return false
	}
	now, later := conf.Clone(), conf.Clone()
	now.Rand, now.Time = nil, nil
	later.Rand, later.Time = nil, func() time.Time { return time.Now().Add(Lifetime + Rotation) }
	ticket, err := now.EncryptTicket(tls.ConnectionState{}, session)
	if err != nil {
		return false
	}
	ss, _ := later.DecryptTicket(ticket, tls.ConnectionState{})
	return ss != nil
}

// anySession returns a session of which a ticket can be made; nil if this Go release writes them in another way. What a
// release has added to the end is zero in it.
var anySession = sync.OnceValue(func() *tls.SessionState {
	b := make([]byte, 128)
	// The version, 1 for a server's, the cipher suite, the time, and the length of the secret, which must not be empty:
	// crypto/tls, SessionState.Bytes.
	b[0], b[1], b[2], b[13] = tls.VersionTLS12>>8, tls.VersionTLS12&0xff, 1, 1
	ss, _ := tls.ParseSessionState(b)
	return ss
})
