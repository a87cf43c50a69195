package h2

import (
	"crypto/tls"
	"net"
)

// Door is how a server of net/http's is made to speak HTTP/2 on a connection that it accepts. Both are
// documented; the Protocols of the server must have HTTP2 and UnencryptedHTTP2.
type Door int

const (
	// DoorNone: net/http's HTTP/2 is not what Conn relies on. Give it the connection itself.
	DoorNone Door = iota
	// DoorClear is a connection in the clear whose client knows that the server speaks HTTP/2
	// (http.Protocols, SetUnencryptedHTTP2). It must have no method ConnectionState:
	// Go 1.25 and 1.26 take HTTP/1 for granted on one that has it.
	DoorClear
	// DoorState is a connection whose ConnectionState says that "h2" was negotiated
	// (http.Serve's documentation since Go 1.27).
	DoorState
)

// String names the door.
func (d Door) String() string {
	switch d {
	case DoorClear:
		return "in the clear"
	case DoorState:
		return "by ConnectionState"
	}
	return "none"
}

// Fit reports whether net/http speaks HTTP/2 over such a TLS connection; RFC 9113, section
// 9.2, and appendix A forbid the others. At DoorState the server looks by itself.
func Fit(st tls.ConnectionState) bool {
	switch st.CipherSuite {
	case tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return st.Version >= tls.VersionTLS12
	}
	return st.Version >= tls.VersionTLS13
}

// stated gives a connection a ConnectionState.
type stated struct {
	net.Conn
	state tls.ConnectionState
}

func (s stated) ConnectionState() tls.ConnectionState { return s.state }
