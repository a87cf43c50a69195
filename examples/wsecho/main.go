// Command wsecho has WebSockets of five libraries: gorilla/websocket, coder/websocket, gobwas/ws, olahol/melody and
// golang.org/x/net/websocket, two of them also behind Gin, Echo and chi. They stay open while it is upgraded: replace its
// binary, send it SIGUSR2 or SIGHUP, and every client goes on in the new process, over the same TCP connection, with no
// message lost or doubled.
//
//	go build -o wsecho ./examples/wsecho
//	./wsecho -addr 127.0.0.1:8080 -pidfile wsecho.pid &
//	websocat ws://127.0.0.1:8080/gin
//	kill -USR2 "$(cat wsecho.pid)"
//
// Each message is sent back. Besides, each client gets a numbered one every 20 ms. The numbers go on in the new process,
// because the handler leaves the last one there. A browser that opens http://127.0.0.1:8080/ does all of it, and counts.
//
// With -cert and -key the clients come by wss, and their connections move with core.WithTLSHandoff.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/wsmove"
	"github.com/gracex-go/gracex/examples/internal/app"
)

var libraries = map[string]http.HandlerFunc{
	"gorilla": gorilla, "coder": coder, "gobwas": gobwas, "melody": melodyHandler(), "xnet": xnet,
}

func main() {
	flags := app.Flags{Addr: ":8080", Drain: core.DefaultDrainTimeout, Probation: core.DefaultProbation}
	settle := flag.Duration("settle", wsmove.DefaultSettle, "how long what melody has queued may take to be written, before its clients move")
	cert := flag.String("cert", "", "`file` of a certificate, for wss instead of ws")
	key := flag.String("key", "", "`file` of its key")
	flags.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("pid", os.Getpid())
	mux := http.NewServeMux()
	mux.Handle("/{$}", page("page.html"))
	mux.Handle("/crowd.js", page("crowd.js"))
	for library, h := range libraries {
		mux.HandleFunc("/"+library, h)
	}
	mux.Handle("/gin", ginRouter())
	mux.Handle("/echo", echoRouter())
	mux.Handle("/chi", chiRouter())
	// Around all of it: in the new process a request takes the whole way again.
	handler := wsmove.Handler("ws", mux, wsmove.WithSettle(*settle), wsmove.WithLogger(log))
	serve := func() error { return core.ListenAndServe(flags.Addr, handler, flags.Options()...) }
	if *cert != "" || *key != "" {
		serve = func() error {
			return core.ListenAndServeTLS(flags.Addr, *cert, *key, handler, append(flags.Options(), core.WithTLSHandoff(true))...)
		}
	}
	if err := serve(); err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "wsecho:", err)
		os.Exit(1)
	}
}
