package grpcx_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/grpcx"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestNewTLS_AsGRPC: a client with which no connection comes about gets what it gets without gracex, byte for byte. So does
// one that speaks HTTP/2 in the clear: there is no way round TLS.
func TestNewTLS_AsGRPC(t *testing.T) {
	certFile, keyFile, roots := rawhttp.Certificate(t)
	conf := &tls.Config{Certificates: []tls.Certificate{must.Get(tls.LoadX509KeyPair(certFile, keyFile))(t)}}
	alone := grpc.NewServer(grpc.Creds(credentials.NewTLS(conf)))
	defer alone.Stop()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	go func() { _ = alone.Serve(ln) }()

	u := must.Get(core.New(core.WithSignals(core.Signals{}), core.WithTLSHandoff(true)))(t)
	own := must.Get(u.Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	must.Do(t, grpcx.Attach(u, grpc.NewServer(grpc.Creds(grpcx.NewTLS(conf))), own))
	must.Do(t, u.Ready())
	defer func() { must.Do(t, u.Stop(t.Context())) }()

	over := func(conf *tls.Config) func(net.Conn) string {
		return func(nc net.Conn) string {
			conf.RootCAs, conf.ServerName = roots, "127.0.0.1"
			c := tls.Client(nc, conf)
			err := c.Handshake()
			if err == nil {
				_, err = c.Read(make([]byte, 1))
			}
			return fmt.Sprint(err)
		}
	}
	for name, client := range map[string]func(net.Conn) string{
		"HTTP/2 in the clear": func(nc net.Conn) string {
			must.Get(io.WriteString(nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"))(t)
			b, _ := io.ReadAll(nc) // a reset is no answer
			return fmt.Sprintf("%q", b)
		},
		"HTTP/1 in the clear": func(nc net.Conn) string {
			must.Get(io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))(t)
			b, _ := io.ReadAll(nc)
			return fmt.Sprintf("%q", b)
		},
		"no protocol":       over(&tls.Config{}),
		"another protocol":  over(&tls.Config{NextProtos: []string{"http/1.1"}}),
		"an old version":    over(&tls.Config{MaxVersion: tls.VersionTLS11, NextProtos: []string{"h2"}}),
		"no proper preface": func(nc net.Conn) string { return preface(t, nc, roots) },
		"nothing but an end": func(nc net.Conn) string {
			must.Do(t, nc.(*net.TCPConn).CloseWrite())
			b, _ := io.ReadAll(nc)
			return string(b)
		},
	} {
		var said [2]string
		for i, addr := range []net.Addr{ln.Addr(), own.Addr()} {
			nc := must.Get(net.Dial("tcp", addr.String()))(t)
			must.Do(t, nc.SetDeadline(time.Now().Add(proctest.Patience)))
			said[i] = client(nc)
			nc.Close()
			if strings.Contains(said[i], "timeout") {
				t.Errorf("%s: %s", name, said[i])
			}
		}
		if said[0] != said[1] {
			t.Errorf("%s: a client gets %s, and without gracex %s", name, said[1], said[0])
		}
	}

	without, with := credentials.NewTLS(conf), grpcx.NewTLS(conf)
	for range 2 {
		if got, want := with.Info(), without.Info(); got != want {
			t.Errorf("Info returns %+v, want %+v", got, want)
		}
		with = with.Clone()
	}
	if reflect.TypeOf(with) != reflect.TypeOf(grpcx.NewTLS(nil)) {
		t.Errorf("a copy is a %T", with)
	}
}

// preface says something else over TLS, and returns what comes.
func preface(t *testing.T, nc net.Conn, roots *x509.CertPool) string {
	t.Helper()
	c := tls.Client(nc, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"h2"}})
	must.Get(io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))(t)
	b, _ := io.ReadAll(c)
	return fmt.Sprintf("%q", b)
}

// bounded serves conf with a limit of time for handshakes, over a listener that wrap has wrapped if it is not nil.
// The server's credentials recover from panics. It stops the server with the test.
func bounded(t *testing.T, conf *tls.Config, limit time.Duration, wrap func(net.Listener) net.Listener) (addr string) {
	t.Helper()
	u := must.Get(core.New(core.WithSignals(core.Signals{}), core.WithTLSHandoff(true), core.WithDrainTimeout(time.Second)))(t)
	t.Cleanup(func() { must.Do(t, u.Stop(context.Background())) })
	own := must.Get(u.Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	ln := own
	if wrap != nil {
		ln = wrap(own)
	}
	srv := grpc.NewServer(grpc.Creds(recovering{grpcx.NewTLS(conf)}), grpc.ConnectionTimeout(limit))
	must.Do(t, grpcx.Attach(u, srv, ln))
	must.Do(t, u.Ready())
	return own.Addr().String()
}

// recovering are credentials whose panics cost one connection.
type recovering struct {
	credentials.TransportCredentials
}

// ServerHandshake shakes hands.
func (r recovering) ServerHandshake(raw net.Conn) (_ net.Conn, _ credentials.AuthInfo, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return r.TransportCredentials.ServerHandshake(raw)
}

// begins connects, shakes hands for the name, and expects the server's first frame, which is SETTINGS.
func begins(t *testing.T, addr, name string) {
	t.Helper()
	nc := must.Get(net.Dial("tcp", addr))(t)
	defer nc.Close()
	must.Do(t, nc.SetDeadline(time.Now().Add(proctest.Patience)))
	c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: []string{"h2"}})
	must.Do(t, c.Handshake())
	var head [9]byte
	must.Get(io.ReadFull(c, head[:]))(t)
	if head[3] != 4 {
		t.Errorf("the first frame is of type %d", head[3])
	}
}

// ended expects the server to end the connection.
func ended(t *testing.T, nc net.Conn) {
	t.Helper()
	must.Do(t, nc.SetDeadline(time.Now().Add(proctest.Patience)))
	if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server keeps the connection")
	}
	nc.Close()
}

// TestNewTLS_BadClients: clients that say nothing, before the handshake or after it, are ended, and nobody waits for them. A
// certificate whose choice panics costs the connection. The program's KeyLogWriter hears of each handshake.
func TestNewTLS_BadClients(t *testing.T) {
	certFile, keyFile, _ := rawhttp.Certificate(t)
	pair := must.Get(tls.LoadX509KeyPair(certFile, keyFile))(t)
	var secrets lines
	addr := bounded(t, &tls.Config{
		KeyLogWriter: &secrets,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "panic" {
				panic("no certificate")
			}
			return &pair, nil
		},
	}, 300*time.Millisecond, nil)
	silent, half := must.Get(net.Dial("tcp", addr))(t), must.Get(net.Dial("tcp", addr))(t)
	must.Get(half.Write([]byte{22, 3, 1, 2, 0, 1}))(t) // the beginning of a hello
	panics := tls.Client(must.Get(net.Dial("tcp", addr))(t), &tls.Config{InsecureSkipVerify: true, ServerName: "panic"})
	if err := panics.Handshake(); err == nil {
		t.Error("it has a certificate")
	}
	panics.Close()
	begins(t, addr, "example.org")
	if n := secrets.of("SERVER_TRAFFIC_SECRET_0"); n != 1 {
		t.Errorf("the program's KeyLogWriter has %d secrets of the server", n)
	}
	idle := tls.Client(must.Get(net.Dial("tcp", addr))(t), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	must.Do(t, idle.Handshake())
	for _, nc := range []net.Conn{silent, half, idle} {
		ended(t, nc)
	}
	begins(t, addr, "example.org")
}

// lines is a KeyLogWriter.
type lines struct {
	mu  sync.Mutex
	all []string
}

// Write keeps a line.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

// of counts the lines with the label.
func (l *lines) of(label string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.HasPrefix(line, label+" ") {
			n++
		}
	}
	return n
}

// odd is a listener of a program's own, whose connections can't be compared.
type odd struct{ net.Listener }

// Accept returns the next one.
func (l odd) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return oddConn{nc, func() {}}, nil
}

type oddConn struct {
	net.Conn
	_ func()
}

// TestNewTLS_ConnsOfAnyType: a program's own connections are served, whatever their type is.
func TestNewTLS_ConnsOfAnyType(t *testing.T) {
	certFile, keyFile, _ := rawhttp.Certificate(t)
	conf := &tls.Config{Certificates: []tls.Certificate{must.Get(tls.LoadX509KeyPair(certFile, keyFile))(t)}}
	addr := bounded(t, conf, proctest.Patience, func(ln net.Listener) net.Listener { return odd{ln} })
	begins(t, addr, "example.org")
}

// TestNewTLS_StopsDuringHandshakes: a stop ends the connections of clients that say nothing, before the handshake or after
// it, and cuts nothing.
func TestNewTLS_StopsDuringHandshakes(t *testing.T) {
	certFile, keyFile, _ := rawhttp.Certificate(t)
	conf := &tls.Config{Certificates: []tls.Certificate{must.Get(tls.LoadX509KeyPair(certFile, keyFile))(t)}}
	var silent, idle net.Conn
	t.Run("stop", func(t *testing.T) {
		addr := bounded(t, conf, 2*proctest.Patience, nil)
		silent = must.Get(net.Dial("tcp", addr))(t)
		c := tls.Client(must.Get(net.Dial("tcp", addr))(t), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		must.Do(t, c.Handshake())
		idle = c
	})
	ended(t, silent)
	ended(t, idle)
}

// TestInfoOf: what is said of a connection that has moved is what grpc-go says of a handshake.
func TestInfoOf(t *testing.T) {
	certFile, keyFile, _ := rawhttp.Certificate(t)
	pair := must.Get(tls.LoadX509KeyPair(certFile, keyFile))(t)
	server := credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert})
	key := must.Get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	const none = "no certificate"
	found := 0
	for _, ids := range []string{
		none, "", "spiffe://example.org/work", "https://example.org/work", "spiffe://example.org/a https://example.org/b",
		"https://example.org/b https://example.org/c", "spiffe://example.org", "spiffe:///work", "spiffe:work",
		"spiffe://user@example.org/work", "spiffe://@example.org/work", "spiffe://example.org/" + strings.Repeat("a", 2100),
		"spiffe://" + strings.Repeat("a", 256) + "/work", "spiffe://" + strings.Repeat("a", 255) + "/work",
	} {
		conf := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
		if ids != none {
			template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
			for _, id := range strings.Fields(ids) {
				template.URIs = append(template.URIs, must.Get(url.Parse(id))(t))
			}
			der := must.Get(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
			conf.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
		}
		c, s := net.Pipe()
		done := make(chan error)
		go func() {
			tc := tls.Client(c, conf)
			err := tc.Handshake()
			if err == nil {
				go io.Copy(io.Discard, tc) // session tickets
			}
			done <- err
		}()
		_, want, err := server.ServerHandshake(s)
		must.Do(t, err)
		must.Do(t, <-done)
		info := want.(credentials.TLSInfo)
		if info.SPIFFEID != nil {
			found++
		}
		got := grpcx.InfoOf(&info.State)
		if len(got.State.PeerCertificates) != len(info.State.PeerCertificates) {
			t.Errorf("%s: another state", ids)
		}
		got.State, info.State = tls.ConnectionState{}, tls.ConnectionState{} // has a function
		if !reflect.DeepEqual(got, info) {
			t.Errorf("%s: %v, want %v", ids, got, info)
		}
		c.Close()
	}
	if found != 3 {
		t.Errorf("%d have an ID", found)
	}
}
