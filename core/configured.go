package core

import (
	"cmp"
	"crypto/tls"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"time"
)

// isNetHTTP reports whether fn, an entry of TLSNextProto, is net/http's own. A function can't be compared with another
// one, but it has a name, which no build flag takes away.
func isNetHTTP(fn func(*http.Server, *tls.Conn, http.Handler)) bool {
	f := runtime.FuncForPC(reflect.ValueOf(fn).Pointer())
	return f != nil && strings.HasPrefix(f.Name(), "net/http.")
}

// givenHTTP2 is what a program has given to http2.ConfigureServer of golang.org/x/net.
type givenHTTP2 struct {
	conf http.HTTP2Config
	idle time.Duration
	lost bool // there is something that can't be read

	called bool // the program has called it
}

// settingsOfConfigureServer reads what the program has given to http2.ConfigureServer. Since Go
// 1.27 (and x/net v0.57) that tells net/http of it, which serves HTTP/2 itself
// and keeps it in a field that nobody else may read: an interface whose value is a struct around x/net's
// http2.Server. Its exported fields are x/net's API; where they are found is not, and
// if they are not there, lost says so, and the defaults hold. Before Go 1.27 x/net
// serves by itself, by an entry of its own.
func settingsOfConfigureServer(srv *http.Server) givenHTTP2 {
	field := reflect.ValueOf(srv).Elem().FieldByName("h2Config")
	if !field.IsValid() || field.Kind() != reflect.Interface || field.IsNil() {
		return givenHTTP2{} // not called
	}
	h2s := indirect(field.Elem())
	if h2s.Kind() != reflect.Struct || h2s.NumField() == 0 {
		return givenHTTP2{called: true, lost: true}
	}
	h2s = indirect(h2s.Field(0))
	if h2s.Kind() != reflect.Struct || h2s.Type().PkgPath() != "golang.org/x/net/http2" {
		return givenHTTP2{called: true, lost: true}
	}
	number := func(name string) int64 {
		switch f := h2s.FieldByName(name); {
		case f.IsValid() && f.CanUint():
			return int64(f.Uint())
		case f.IsValid() && f.CanInt():
			return f.Int()
		}
		return 0
	}
	g := givenHTTP2{called: true, idle: time.Duration(number("IdleTimeout")), conf: http.HTTP2Config{
		MaxConcurrentStreams:          int(number("MaxConcurrentStreams")),
		MaxDecoderHeaderTableSize:     int(number("MaxDecoderHeaderTableSize")),
		MaxEncoderHeaderTableSize:     int(number("MaxEncoderHeaderTableSize")),
		MaxReadFrameSize:              int(number("MaxReadFrameSize")),
		MaxReceiveBufferPerConnection: int(number("MaxUploadBufferPerConnection")),
		MaxReceiveBufferPerStream:     int(number("MaxUploadBufferPerStream")),
		SendPingTimeout:               time.Duration(number("ReadIdleTimeout")),
		PingTimeout:                   time.Duration(number("PingTimeout")),
		WriteByteTimeout:              time.Duration(number("WriteByteTimeout")),
	}}
	if f := h2s.FieldByName("PermitProhibitedCipherSuites"); f.Kind() == reflect.Bool {
		g.conf.PermitProhibitedCipherSuites = f.Bool()
	}
	count := h2s.FieldByName("CountError") // a function can't be called through it
	g.lost = count.Kind() == reflect.Func && !count.IsNil()
	return g
}

func indirect(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return v
}

// apply sets a server of HTTP/2 alone up with it. What the program says in the HTTP2
// field of its server comes first, as with net/http.
func (g givenHTTP2) apply(srv *http.Server) {
	srv.IdleTimeout = cmp.Or(g.idle, srv.IdleTimeout)
	g.applyShared(srv)
}

// applyShared sets a server up with it that speaks HTTP/1, too, whose idle timeout it is not.
func (g givenHTTP2) applyShared(srv *http.Server) {
	c := g.conf
	if reflect.ValueOf(c).IsZero() {
		return
	}
	var m http.HTTP2Config
	if srv.HTTP2 != nil {
		m = *srv.HTTP2
	}
	m.MaxConcurrentStreams = cmp.Or(m.MaxConcurrentStreams, c.MaxConcurrentStreams)
	m.MaxDecoderHeaderTableSize = cmp.Or(m.MaxDecoderHeaderTableSize, c.MaxDecoderHeaderTableSize)
	m.MaxEncoderHeaderTableSize = cmp.Or(m.MaxEncoderHeaderTableSize, c.MaxEncoderHeaderTableSize)
	m.MaxReadFrameSize = cmp.Or(m.MaxReadFrameSize, c.MaxReadFrameSize)
	m.MaxReceiveBufferPerConnection = cmp.Or(m.MaxReceiveBufferPerConnection, c.MaxReceiveBufferPerConnection)
	m.MaxReceiveBufferPerStream = cmp.Or(m.MaxReceiveBufferPerStream, c.MaxReceiveBufferPerStream)
	m.SendPingTimeout = cmp.Or(m.SendPingTimeout, c.SendPingTimeout)
	m.PingTimeout = cmp.Or(m.PingTimeout, c.PingTimeout)
	m.WriteByteTimeout = cmp.Or(m.WriteByteTimeout, c.WriteByteTimeout)
	m.PermitProhibitedCipherSuites = m.PermitProhibitedCipherSuites || c.PermitProhibitedCipherSuites
	srv.HTTP2 = &m
}
