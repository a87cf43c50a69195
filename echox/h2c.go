package echox

import (
	"cmp"
	"net/http"

	"golang.org/x/net/http2"
)

// configureH2C has srv speak HTTP/2 without TLS, with the settings of h2s. Echo puts a handler of
// golang.org/x/net/http2/h2c in between, which hijacks every HTTP/2 connection away from net/http, so that
// nobody can drain it. net/http speaks HTTP/2 without TLS itself.
func configureH2C(srv *http.Server, h2s *http2.Server) {
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	if h2s == nil {
		return
	}
	if srv.IdleTimeout == 0 {
		srv.IdleTimeout = h2s.IdleTimeout
	}
	own := srv.HTTP2
	if own == nil {
		own = new(http.HTTP2Config)
	}
	count := own.CountError
	if count == nil {
		count = h2s.CountError
	}
	srv.HTTP2 = &http.HTTP2Config{ // as in golang.org/x/net/http2, what is set there comes first
		MaxConcurrentStreams:          cmp.Or(own.MaxConcurrentStreams, int(h2s.MaxConcurrentStreams)),
		MaxDecoderHeaderTableSize:     cmp.Or(own.MaxDecoderHeaderTableSize, int(h2s.MaxDecoderHeaderTableSize)),
		MaxEncoderHeaderTableSize:     cmp.Or(own.MaxEncoderHeaderTableSize, int(h2s.MaxEncoderHeaderTableSize)),
		MaxReadFrameSize:              cmp.Or(own.MaxReadFrameSize, int(h2s.MaxReadFrameSize)),
		MaxReceiveBufferPerConnection: cmp.Or(own.MaxReceiveBufferPerConnection, int(h2s.MaxUploadBufferPerConnection)),
		MaxReceiveBufferPerStream:     cmp.Or(own.MaxReceiveBufferPerStream, int(h2s.MaxUploadBufferPerStream)),
		SendPingTimeout:               cmp.Or(own.SendPingTimeout, h2s.ReadIdleTimeout),
		PingTimeout:                   cmp.Or(own.PingTimeout, h2s.PingTimeout),
		WriteByteTimeout:              cmp.Or(own.WriteByteTimeout, h2s.WriteByteTimeout),
		PermitProhibitedCipherSuites:  own.PermitProhibitedCipherSuites || h2s.PermitProhibitedCipherSuites,
		CountError:                    count,
	}
}
