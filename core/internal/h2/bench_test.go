package h2

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// BenchmarkRequest is a request on a connection that is followed, and on one that is not.
func BenchmarkRequest(b *testing.B) {
	for name, follow := range map[string]func(net.Conn) net.Conn{
		"alone":    func(nc net.Conn) net.Conn { return nc },
		"followed": func(nc net.Conn) net.Conn { return New(nc, len(Preface), 0, func() {}) },
	} {
		b.Run(name, func(b *testing.B) {
			ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(b)
			srv := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(w, r.Body)
			})}
			srv.Protocols.SetUnencryptedHTTP2(true)
			go func() { _ = srv.Serve(followed{ln, follow}) }()
			defer srv.Close()
			tr := &http.Transport{Protocols: new(http.Protocols)}
			tr.Protocols.SetUnencryptedHTTP2(true)
			defer tr.CloseIdleConnections()
			url := "http://" + ln.Addr().String() + "/some/path"
			ask := func() {
				resp, err := tr.RoundTrip(must.Get(http.NewRequest(http.MethodGet, url, nil))(b))
				must.Do(b, err)
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			ask()
			b.ReportAllocs()
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ask()
				}
			})
		})
	}
}

type followed struct {
	net.Listener
	follow func(net.Conn) net.Conn
}

func (l followed) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.follow(nc), nil
}
