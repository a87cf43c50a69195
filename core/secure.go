package core

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/tls13"
)

// A server whose TLS connections can move shakes hands by itself, because net/http does so on a *tls.Conn only, and nothing
// can stand between that and a moved connection's record layer. What net/http gets is plaintext: the connections of
// HTTP/1 are the inner server's, those of HTTP/2 another one's, which takes the client's word that it is HTTP/2.
// Connections that can't move, because of their version or cipher suite, are served likewise, and stay.

// secureKey is the context key of the *conns.Conn of a request that came by TLS.
type secureKey struct{}

// openSecure sets the server up such that its TLS connections can move, and reports whether.
func (s *server) openSecure(certFile, keyFile string) (bool, error) {
	if why := s.staysSecure(); why != nil {
		s.u.log.Warn("TLS connections do not move: their clients are asked to reconnect",
			"address", s.ln.Addr().String(), "error", why)
		return false, nil
	}
	conf, err := s.secureConfig(certFile, keyFile)
	if err != nil {
		return false, err
	}
	s.tlsConfig = tls13.Config(conf)
	s.inner.Protocols = new(http.Protocols)
	s.inner.Protocols.SetHTTP1(true)
	s.inner.TLSNextProto, s.inner.TLSConfig = nil, nil
	s.side.H2C = false
	if !slices.Contains(conf.NextProtos, "h2") {
		return true, nil
	}
	s.follows = true
	s.other = &otherServer{s: s, srv: s.copyOfUser(), conns: make(chan net.Conn)}
	s.speak(s.other.srv, settingsOfConfigureServer(s.user))
	s.other.srv.Protocols = new(http.Protocols)
	s.other.srv.Protocols.SetHTTP2(true)
	s.other.srv.Protocols.SetUnencryptedHTTP2(true)
	s.sideHTTP2 = s.newSide()
	s.sideHTTP2.HTTP, s.sideHTTP2.H2C = s.other.srv, true
	s.sideHTTP2.Greeting = sync.OnceValues(func() (*h2.Greeting, error) {
		if err := h2.Moves(); err != nil {
			return nil, err
		}
		return h2.Greet(s.other.srv)
	})
	return true, nil
}

// staysSecure returns why no TLS connection of the server moves.
func (s *server) staysSecure() error {
	p := s.user.Protocols
	switch fn := s.user.TLSNextProto["h2"]; {
	case len(s.otherProtos()) > 0:
		return errors.New("the program speaks a protocol of its own over TLS (TLSNextProto)")
	case fn != nil && !isNetHTTP(fn):
		return errors.New("the program has an HTTP/2 of its own (TLSNextProto)")
	case p != nil && !p.HTTP1():
		return errors.New("the server does not speak HTTP/1 (Protocols)")
	case h2.Doors().Clear != nil:
		return h2.Doors().Clear
	}
	if err := conns.SelfTest(); err != nil {
		return err
	}
	return tls13.Moves()
}

// secureConfig is the config that net/http's ServeTLS would make.
func (s *server) secureConfig(certFile, keyFile string) (*tls.Config, error) {
	conf := s.inner.TLSConfig
	if conf == nil {
		conf = new(tls.Config)
	}
	conf = conf.Clone()
	conf.NextProtos = slices.DeleteFunc(slices.Clone(conf.NextProtos), func(p string) bool {
		return p == "h2" && !s.speaksHTTP2()
	})
	for _, p := range []string{"h2", "http/1.1"} {
		if !slices.Contains(conf.NextProtos, p) && (p != "h2" || s.speaksHTTP2()) {
			conf.NextProtos = append(conf.NextProtos, p)
		}
	}
	if certFile != "" || keyFile != "" || !hasCertificates(conf) {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, err
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, nil
}

// speaksHTTP2 reports whether net/http's HTTP/2 is on for the server. Its gate has set that up.
func (s *server) speaksHTTP2() bool { return s.user.TLSNextProto["h2"] != nil }

// serveSecure accepts connections until the listener is closed, and has each shake hands in a goroutine of its own. The
// servers accept them when they have.
func (s *server) serveSecure() error {
	go func() { _ = s.inner.Serve(&adoption{s, s.side, &s.turns.adopt}) }()
	if s.other != nil {
		go func() { _ = s.other.srv.Serve(&adoption{s, s.sideHTTP2, &s.turns.other}) }()
	}
	var delay time.Duration
	for {
		nc, err := (*acceptor)(s).accept()
		switch c, ok := nc.(*conns.Conn); {
		case err == nil && ok:
			delay = 0
			s.u.conns.Serve(c)
			go s.shakeHands(c)
		case err == nil:
			_ = nc.Close() // it is none of our listener's
		case !isTemporary(err):
			return err
		default: // as net/http waits
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.logf("http: Accept error: %v; retrying in %v", err, delay)
			time.Sleep(delay)
		}
	}
}

func isTemporary(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Temporary() //nolint:staticcheck // net/http's rule
}

// shakeHands does what net/http does with a new connection, and gives it to the server that speaks its protocol.
func (s *server) shakeHands(below *conns.Conn) {
	first := tls13.Server(below, s.tlsConfig)
	below.IsUnder(first.TLS())
	defer func() { // as net/http: what crypto/tls calls is the program's
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler { //nolint:errorlint // net/http's test
				s.logf("http: panic serving %v: %v\n%s", below.RemoteAddr(), p, debug.Stack())
			}
			_ = first.Close()
		}
	}()
	if err := s.handshake(first); err != nil {
		s.logf("http: TLS handshake error from %s: %v", below.RemoteAddr(), err)
		_ = first.Close()
		return
	}
	st := first.ConnectionState()
	side := s.side
	switch st.NegotiatedProtocol {
	case "", "http/1.1", "http/1.0":
	case "h2":
		if side = s.sideHTTP2; !h2.Fit(st) && !s.permitsAllCiphers() {
			_, _ = first.Write(h2.Inadequate())
			_ = first.Close()
			return
		}
	default: // such as autocert's acme-tls/1, whose handshake is all there is
		_ = first.Close()
		return
	}
	c := s.u.conns.Secure(below, first, side)
	if c == nil {
		_ = first.Close()
		return
	}
	c.ServeBy(side, prefaceTime)
}

func (s *server) permitsAllCiphers() bool {
	return s.user.HTTP2 != nil && s.user.HTTP2.PermitProhibitedCipherSuites
}

// handshake has net/http's limits of time, and answers a client that speaks HTTP in the clear.
func (s *server) handshake(first *tls13.First) error {
	if d := handshakeTime(s.user); d > 0 {
		_ = first.SetDeadline(time.Now().Add(d))
		defer func() { _ = first.SetDeadline(time.Time{}) }()
	}
	ctx, cancel := context.WithCancel(context.WithValue(context.WithValue(s.base,
		http.ServerContextKey, s.user), http.LocalAddrContextKey, first.LocalAddr()))
	defer cancel()
	err := first.HandshakeContext(ctx)
	var head tls.RecordHeaderError
	if errors.As(err, &head) && head.Conn != nil && looksLikeHTTP(head.RecordHeader) {
		_, _ = io.WriteString(head.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
		return errors.New("client sent an HTTP request to an HTTPS server")
	}
	return err
}

// handshakeTime is net/http's rule: the shortest of three limits; 0 for none.
func handshakeTime(srv *http.Server) (d time.Duration) {
	for _, limit := range []time.Duration{srv.ReadHeaderTimeout, srv.ReadTimeout, srv.WriteTimeout} {
		if limit > 0 && (d == 0 || limit < d) {
			d = limit
		}
	}
	return d
}

// looksLikeHTTP is net/http's rule.
func looksLikeHTTP(head [5]byte) bool {
	return slices.Contains([]string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO"}, string(head[:]))
}

// logf writes what net/http would, where net/http would.
func (s *server) logf(format string, args ...any) {
	if s.user.ErrorLog != nil {
		s.user.ErrorLog.Printf(format, args...) //nolint:forbidigo // the program has set it for that
	} else {
		log.Printf(format, args...) //nolint:forbidigo // as without gracex
	}
}
