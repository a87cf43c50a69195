package echox

import (
	"net/http"

	"golang.org/x/net/http2"
)

// configureH2C has srv speak HTTP/2 without TLS, with the settings of h2s. Echo puts
// a handler of golang.org/x/net/http2/h2c in between, which hijacks every HTTP/2
// connection away from net/http, so that nobody can drain it. net/http speaks HTTP/2
// without TLS itself.
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
	if srv.HTTP2 != nil {
		return // as for golang.org/x/net/http2, what is set there comes first
	}
	srv.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:          int(h2s.MaxConcurrentStreams),
		MaxDecoderHeaderTableSize:     int(h2s.MaxDecoderHeaderTableSize),
		MaxEncoderHeaderTableSize:     int(h2s.MaxEncoderHeaderTableSize),
		MaxReadFrameSize:              int(h2s.MaxReadFrameSize),
		MaxReceiveBufferPerConnection: int(h2s.MaxUploadBufferPerConnection),
		MaxReceiveBufferPerStream:     int(h2s.MaxUploadBufferPerStream),
		SendPingTimeout:               h2s.ReadIdleTimeout,
		PingTimeout:                   h2s.PingTimeout,
		WriteByteTimeout:              h2s.WriteByteTimeout,
		PermitProhibitedCipherSuites:  h2s.PermitProhibitedCipherSuites,
		CountError:                    h2s.CountError,
	}
}
