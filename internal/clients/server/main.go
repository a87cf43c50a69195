// Command server is the server that the clients of this module ask: net/http's on gracex, with HTTP/1 and HTTP/2 in the
// clear, or over TLS if it has a certificate. It answers with the body that it was sent, and gRPC calls of four kinds. With
// -grpc it is grpc-go's own, for such calls alone.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/grpcx"
)

func main() {
	addr := flag.String("addr", "", "where it listens")
	cert := flag.String("cert", "", "the file of a certificate; empty is HTTP/2 in the clear")
	key := flag.String("key", "", "the file of its key")
	moves := flag.Bool("tls-handoff", false, "connections over TLS move")
	own := flag.Bool("grpc", false, "grpc-go's transport in place of net/http's")
	control := flag.String("control", "", "the control socket")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	err := core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", *addr)
		if err != nil {
			return err
		}
		if *own {
			return attachGRPC(u, ln, *cert, *key)
		}
		srv := &http.Server{Handler: newHandler(), Protocols: new(http.Protocols)}
		srv.Protocols.SetHTTP1(true)
		if *cert == "" {
			srv.Protocols.SetUnencryptedHTTP2(true)
			return u.Attach(srv, ln)
		}
		srv.Protocols.SetHTTP2(true)
		return u.AttachTLS(srv, ln, *cert, *key)
	}, core.WithControlSocket(*control), core.WithProbation(0), core.WithTLSHandoff(*moves), core.WithLogger(log))
	if err != nil {
		log.Error("serve", "error", err)
		os.Exit(1)
	}
}

// attachGRPC serves calls on grpc-go's transport.
func attachGRPC(u *core.Upgrader, ln net.Listener, cert, key string) error {
	creds := insecure.NewCredentials()
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return err
		}
		creds = grpcx.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}})
	}
	return grpcx.Attach(u, grpc.NewServer(grpc.Creds(creds), grpc.UnknownServiceHandler(call)), ln)
}

// newHandler returns the handler. A file "over" in the directory of the server ends the clients that can't be told.
func newHandler() http.Handler {
	calls := grpc.NewServer(grpc.UnknownServiceHandler(call))
	mux := http.NewServeMux()
	mux.HandleFunc("/", echo)
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	})
	mux.HandleFunc("/report", func(_ http.ResponseWriter, r *http.Request) {
		if b, err := io.ReadAll(r.Body); err == nil && os.WriteFile("report.new", b, 0o600) == nil {
			_ = os.Rename("report.new", "report")
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			calls.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// echo answers with the body, with d=time later, and with 410 if that is asked for and it is over.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has left
	}
	w.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	w.Header().Set("X-Generation", strconv.Itoa(core.Generation()))
	query, over := r.URL.Query(), false
	if query.Has("ends") {
		_, err := os.Stat("over")
		if over = err == nil; over && query.Get("ends") == "410" {
			w.WriteHeader(http.StatusGone)
			return
		}
	}
	w.Header().Set("X-Over", strconv.FormatBool(over))
	if d, _ := time.ParseDuration(query.Get("d")); d > 0 && !over {
		time.Sleep(d)
	}
	if n, _ := strconv.Atoi(query.Get("size")); n > 0 {
		b = make([]byte, n)
	}
	_, _ = w.Write(b)
}

// page posts until the server says that it is over, and reports then.
const page = `<!doctype html><script>
(async () => {
	performance.setResourceTimingBufferSize(1e6);
	let requests = 0, failed = 0, over = false, errors = [];
	while (!over) {
		const body = String(requests).padStart(200);
		requests++;
		try {
			const answer = await fetch('/?ends=page', {method: 'POST', body});
			over = answer.headers.get('X-Over') == 'true';
			if (await answer.text() != body) throw new Error('another body');
		} catch (e) {
			failed++;
			errors.push(String(e));
			await new Promise(done => setTimeout(done, 10));
		}
	}
	const entries = performance.getEntriesByType('resource');
	const connections = entries.filter(e => e.connectEnd > e.connectStart).length;
	const protocols = [...new Set(entries.map(e => e.nextHopProtocol))];
	await fetch('/report', {method: 'POST', body: JSON.stringify({requests, failed, connections, protocols, errors: errors.slice(0, 5)})});
})();
</script>`

// call answers a gRPC call of any kind, by the name of its method: "collect" reads all messages and sends one, "list"
// sends three for one, and "echo" sends each back.
func call(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	sum := 0
	for {
		m := new(wrapperspb.BytesValue)
		err := stream.RecvMsg(m)
		switch {
		case errors.Is(err, io.EOF):
			if strings.HasSuffix(method, "/collect") {
				return stream.SendMsg(wrapperspb.Bytes([]byte(strconv.Itoa(sum))))
			}
			return nil
		case err != nil:
			return err
		}
		sum += len(m.GetValue())
		n := 0
		switch {
		case strings.HasSuffix(method, "/echo"):
			n = 1
		case strings.HasSuffix(method, "/list"):
			n = 3
		}
		for range n {
			time.Sleep(5 * time.Millisecond)
			if err := stream.SendMsg(m); err != nil {
				return err
			}
		}
	}
}
