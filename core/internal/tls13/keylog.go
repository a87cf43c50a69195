package tls13

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"io"
)

// Config returns a copy of conf for a server whose connections are Firsts. It serves others, too. Each connection of a First
// has a copy of it, or of what its GetConfigForClient returns, because crypto/tls tells secrets to the KeyLogWriter of a
// config. The conf's own KeyLogWriter gets what it would have got. Session tickets are sealed by the copy's keys.
func Config(conf *tls.Config) *tls.Config {
	c := conf.Clone()
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		var own *tls.Config
		if conf.GetConfigForClient != nil {
			var err error
			if own, err = conf.GetConfigForClient(hello); err != nil {
				return nil, err
			}
		}
		l := lowerOf(hello.Conn)
		if l == nil {
			return own, nil
		}
		if own == nil {
			own = conf
		}
		with := own.Clone()
		with.KeyLogWriter = &keyLog{l, own.KeyLogWriter}
		return with, nil
	}
	return c
}

// keyLog is the KeyLogWriter of one connection.
type keyLog struct {
	of  *lower
	own io.Writer // the program's; or nil
}

// Write gets a line: a label, the client's random bytes and a secret. crypto/tls has a mutex for all connections then.
func (k *keyLog) Write(line []byte) (int, error) {
	if f := bytes.Fields(line); len(f) == 3 {
		switch string(f[0]) {
		case "CLIENT_TRAFFIC_SECRET_0":
			k.of.keep(&k.of.told.client, f[2])
		case "SERVER_TRAFFIC_SECRET_0":
			k.of.keep(&k.of.told.server, f[2])
		case "SERVER_HANDSHAKE_TRAFFIC_SECRET":
			k.of.keep(&k.of.told.shake, f[2])
		}
	}
	if k.own != nil {
		return k.own.Write(line)
	}
	return len(line), nil
}

// told is what crypto/tls has told of a connection. It stands behind a pointer: fmt shows the conn below a tls.Conn.
type told struct{ client, server, shake secret }

// secret is one that crypto/tls has told.
type secret struct {
	bytes [maxSecret]byte
	size  int // 0: it has not
}

// keep keeps a secret.
func (l *lower) keep(s *secret, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := hex.DecodedLen(len(text)); n <= len(s.bytes) {
		if _, err := hex.Decode(s.bytes[:], text); err == nil {
			s.size = n
		}
	}
}
