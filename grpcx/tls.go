package grpcx

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"reflect"
	"syscall"

	"google.golang.org/grpc/credentials"

	"github.com/gracex-go/gracex/core"
)

// NewTLS is credentials.NewTLS for a server whose clients stay connected in an upgrade. Give it to the server by grpc.Creds:
//
//	srv := grpc.NewServer(grpc.Creds(grpcx.NewTLS(conf)))
//
// With core.WithTLSHandoff(true) connections of TLS 1.3 move, as those in the clear do (docs/moving-grpc.md). In the new
// process peer.FromContext has the same credentials.TLSInfo, but for ExportKeyingMaterial, which can't be called there.
// Without that option, and on a listener that does not come from core.Listen, or is wrapped, it does what
// credentials.NewTLS does.
//
// Sessions that began in another generation are resumed. The keys of their tickets are those of core.TicketKeys with the
// name "grpc". A server that asks for client certificates keeps its own. If the program has several such servers that must
// not take each other's tickets, because their certificates differ, each gives its conf through core.TicketKeys with
// another name.
//
// If conf is nil, the credentials are those of an empty config.
func NewTLS(conf *tls.Config) credentials.TransportCredentials {
	return &tlsCreds{credentials.NewTLS(core.HTTP2TLSConfig("grpc", conf))}
}

// tlsCreds are grpc-go's, whose handshakes are core's.
type tlsCreds struct {
	credentials.TransportCredentials
}

// Clone returns a copy.
func (c *tlsCreds) Clone() credentials.TransportCredentials {
	return &tlsCreds{c.TransportCredentials.Clone()}
}

// ServerHandshake shakes hands, unless that has been done in another process.
func (c *tlsCreds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	own, ok := raw.(*conn)
	if !ok {
		return c.TransportCredentials.ServerHandshake(raw)
	}
	var info credentials.AuthInfo
	alone := false
	over, st, err := core.HTTP2Handshake(own.Conn, func(nc net.Conn) (net.Conn, error) {
		if alone = is(nc, own.Conn); alone { // it does not move
			nc = raw
		}
		var err error
		nc, info, err = c.TransportCredentials.ServerHandshake(nc)
		return nc, err
	})
	if err != nil {
		return nil, nil, err
	}
	if alone {
		return over, info, nil
	}
	if st != nil {
		info = infoOf(st)
	}
	if err := own.becomes(over); err != nil {
		_ = over.Close()
		return nil, nil, err
	}
	return &secured{over, own.Conn}, info, nil
}

// is reports whether two connections are the same. A program's own may be of a type that can't be compared, and core has
// none such.
func is(nc, own net.Conn) bool {
	return !reflect.ValueOf(own).Comparable() || nc == own
}

// secured is a connection over TLS. As that of credentials.NewTLS it gives channelz access to the socket.
type secured struct {
	net.Conn
	raw net.Conn
}

// SyscallConn gives access to the socket.
func (s *secured) SyscallConn() (syscall.RawConn, error) {
	raw := s.raw
	if n, ok := raw.(interface{ NetConn() net.Conn }); ok { // it has moved here
		raw = n.NetConn()
	}
	if sc, ok := raw.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// infoOf is what credentials.NewTLS says of a handshake.
func infoOf(st *tls.ConnectionState) credentials.TLSInfo {
	info := credentials.TLSInfo{State: *st}
	info.SecurityLevel = credentials.PrivacyAndIntegrity
	if len(st.PeerCertificates) > 0 {
		info.SPIFFEID = spiffeID(st.PeerCertificates[0])
	}
	return info
}

// spiffeID is grpc-go's rule (internal/credentials, SPIFFEIDFromCert): the one URI of the certificate, if that is a SPIFFE
// ID.
func spiffeID(cert *x509.Certificate) *url.URL {
	const maxID, maxDomain = 2048, 255 // https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md
	if len(cert.URIs) != 1 {
		return nil
	}
	id := cert.URIs[0]
	if id == nil || id.Scheme != "spiffe" || id.Opaque != "" || id.User.Username() != "" || len(id.String()) > maxID ||
		id.Host == "" || id.Path == "" || len(id.Host) > maxDomain {
		return nil
	}
	return id
}
