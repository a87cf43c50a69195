package tls13

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// benchmark runs f with crypto/tls alone, before a move and after it, over TCP.
func benchmark(b *testing.B, f func(b *testing.B, server, client net.Conn)) {
	b.Helper()
	for _, kind := range []string{"crypto/tls", "First", "Conn"} {
		b.Run(kind, func(b *testing.B) {
			s, c := sockets(b)
			_ = s.SetDeadline(time.Time{})
			_ = c.SetDeadline(time.Time{})
			first, client := shake(b, s, c, serverConfig(), clientConfig())
			server := net.Conn(first)
			switch kind {
			case "crypto/tls":
				first.low.off.Store(true)
				server = first.TLS()
			case "Conn":
				server = move(b, first, s)
			}
			f(b, server, client)
		})
	}
}

// BenchmarkAnswer is a request of 200 bytes and its answer of 300, one after the other.
func BenchmarkAnswer(b *testing.B) {
	benchmark(b, func(b *testing.B, server, client net.Conn) {
		go func() {
			in, out := make([]byte, 4096), pattern(300)
			for {
				if _, err := server.Read(in); err != nil {
					return
				}
				if _, err := server.Write(out); err != nil {
					return
				}
			}
		}()
		in, out := make([]byte, 300), pattern(200)
		for b.Loop() {
			must.Get(client.Write(out))(b)
			must.Get(io.ReadFull(client, in))(b)
		}
	})
}

// BenchmarkBulk is a transfer in pieces of 32 KiB, as io.Copy has them, down and up.
func BenchmarkBulk(b *testing.B) {
	piece := pattern(32 << 10)
	for _, down := range []bool{true, false} {
		b.Run(fmt.Sprint("down=", down), func(b *testing.B) {
			benchmark(b, func(b *testing.B, server, client net.Conn) {
				from, to := server, client
				if !down {
					from, to = client, server
				}
				b.SetBytes(int64(len(piece)))
				b.ReportAllocs()
				go func() {
					for {
						if _, err := from.Write(piece); err != nil {
							return
						}
					}
				}()
				got := make([]byte, len(piece))
				for b.Loop() {
					must.Get(io.ReadFull(to, got))(b)
				}
			})
		})
	}
}

// BenchmarkMove is a move from Conn to Conn.
func BenchmarkMove(b *testing.B) {
	s, c := sockets(b)
	first, _ := shake(b, s, c, serverConfig(), clientConfig())
	server := movable(first)
	b.ReportAllocs()
	for b.Loop() {
		server = move(b, server, s)
	}
}

// BenchmarkHandshake shows what Config costs.
func BenchmarkHandshake(b *testing.B) {
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprint("Config=", with), func(b *testing.B) {
			conf := serverConfig()
			if with {
				conf = Config(conf)
			}
			b.ReportAllocs()
			for b.Loop() {
				near, far := pipes()
				f := Server(near, conf)
				done := make(chan error, 1)
				go func() { done <- tls.Client(far, clientConfig()).Handshake() }()
				must.Do(b, f.HandshakeContext(b.Context()))
				must.Do(b, <-done)
			}
		})
	}
}
