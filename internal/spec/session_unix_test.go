//go:build unix

package spec_test

import (
	"crypto/tls"
	"io"
	"strings"
)

// session is a client that shakes hands anew each time, and remembers its session.
type session struct {
	s    *server
	conf *tls.Config
}

func (s *server) newSession() *session {
	conf := clientTLS()
	conf.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	return &session{s, conf}
}

// shakesHands checks whether the session goes on. A server without TLS has none.
func (c *session) shakesHands(goesOn bool) {
	t := c.s.t
	t.Helper()
	if c.s.kind.scheme != "https" {
		return
	}
	nc, err := tls.Dial(c.s.kind.network, c.s.address, c.conf)
	must(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "POST / HTTP/1.1\r\nHost: "+serverName+"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	must(t, err)
	answer, err := io.ReadAll(nc) // and the next ticket
	must(t, err)
	if st := nc.ConnectionState(); st.DidResume != goesOn || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		t.Errorf("generation %d: the session is resumed: %v, want %v; the answer is %q", c.s.gen, st.DidResume, goesOn, answer)
	}
}
