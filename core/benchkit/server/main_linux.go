// Command server is what the bench kit measures: a server whose handlers do next to nothing, on gracex or, with -bare,
// on net/http alone.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core"
)

// anyPort is where each listener is.
const anyPort = "127.0.0.1:0"

func main() {
	bare := flag.Bool("bare", false, "serve by net/http alone")
	h2c := flag.Bool("h2c", false, "speak HTTP/2 in the clear, too")
	secure := flag.Bool("tls", false, "speak TLS")
	moves := flag.Bool("tls-handoff", false, "connections over TLS move")
	listeners := flag.Int("listeners", 1, "how many listeners to have, with gracex")
	lossy := flag.Bool("break", false, "lose connections in an upgrade, to see the kit notice")
	flag.Parse()
	go endWithInput()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	srv := &http.Server{Handler: handler()}
	if *h2c {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	err := error(nil)
	if *secure {
		srv.TLSConfig, err = certificate()
	}
	switch {
	case err != nil:
	case *bare:
		err = alone(srv, log)
	default:
		err = upgradable(srv, *listeners, log, *lossy, core.WithTLSHandoff(*moves))
	}
	if err != nil {
		log.Error("the server has failed", "error", err)
		os.Exit(1)
	}
}

// certificate makes a certificate, which nobody looks at.
func certificate() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	is := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	b, err := x509.CreateCertificate(rand.Reader, is, is, key.Public(), key)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{b}, PrivateKey: key}}}, err
}

// endWithInput ends this process with the kit, which has the other end of its standard input.
func endWithInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(3)
}

// handler answers five bytes, at once, or when the body of the request is there, so that the client says how long a
// request takes; or 4 MiB.
func handler() http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter) { _, _ = io.WriteString(w, "hello") }
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { answer(w) })
	bulk := make([]byte, 4<<20)
	mux.HandleFunc("/bulk", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(bulk)))
		_, _ = w.Write(bulk)
	})
	mux.HandleFunc("/hold", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			answer(w)
		}
	})
	return mux
}

// upgradable serves by gracex. It has no probation, in which connections would stay for a while.
func upgradable(srv *http.Server, listeners int, log *slog.Logger, lossy bool, more core.Option) error {
	opts := []core.Option{core.WithLogger(log), core.WithProbation(0), core.WithoutControlSocket(), more}
	if lossy {
		opts = append(opts, core.WithConnectionHandoff(false), core.WithDrainTimeout(time.Millisecond))
	}
	secure := srv.TLSConfig != nil // Attach sets it, too
	return core.Run(func(u *core.Upgrader) error {
		for range listeners {
			ln, err := u.Listen(context.Background(), "tcp", anyPort)
			if err != nil {
				return err
			}
			if secure {
				err = u.AttachTLS(srv, ln, "", "")
			} else {
				err = u.Attach(srv, ln)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, opts...)
}

// alone serves by net/http, and logs what the kit looks for in core's words.
func alone(srv *http.Server, log *slog.Logger) error {
	ln, err := net.Listen("tcp", anyPort)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		_ = srv.Close()
	}()
	secure := srv.TLSConfig != nil
	log.Info("current", "generation", 0, "own_pid", os.Getpid(), "addresses", []string{ln.Addr().String()})
	if secure {
		err = srv.ServeTLS(ln, "", "")
	} else {
		err = srv.Serve(ln)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
