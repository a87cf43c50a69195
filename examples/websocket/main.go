// Command websocket is a chat server whose clients stay connected while it is upgraded: replace its binary,
// send it SIGUSR2 or SIGHUP, and every WebSocket goes on in the new process, over the same TCP connection,
// with no message lost or doubled.
//
//	go build -o chat ./examples/websocket
//	./chat -addr 127.0.0.1:8080 -pidfile chat.pid &
//	websocat 'ws://127.0.0.1:8080/?nick=ann'
//	kill -USR2 "$(cat chat.pid)"
//
// What one member writes all members read, in the same order. A newcomer is greeted
// with the process that it has reached.
//
// When an upgrade begins to drain the old process, it
//
//  1. stops reading from every member, be it in the middle of a message;
//  2. writes to each member what it has read before from any of them;
//  3. passes the member's connection to core.Handoff, with what it has read of
//     messages that were not complete.
//
// No member is at step 3 before all have done step 1. So what is said in the old
// process reaches its members there; what is said in the new one is kept in a log,
// and who arrives from the old process reads this from its beginning.
//
// Connections under TLS can't move: put a proxy in front that ends it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

const (
	maxNick       = 32 // bytes
	headerTimeout = 10 * time.Second
)

func main() {
	// No probation: during one, two processes would let clients into two rooms.
	flags := app.Flags{Addr: ":8080", Drain: core.DefaultDrainTimeout}
	flags.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)).With("pid", os.Getpid()))

	room := newHub()
	core.OnHandoff(handoffName, room.adopt) // before the old process can pass anything on
	err := core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", flags.Addr)
		if err != nil {
			return err
		}
		room.follow(u.Draining())
		return u.Attach(&http.Server{Handler: http.HandlerFunc(room.serve), ReadHeaderTimeout: headerTimeout}, ln)
	}, flags.Options()...)
	// nil comes back after a clean stop and after a handover, and ErrCut after a stop that cut what was left.
	if err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "websocket:", err)
		os.Exit(1)
	}
}

// serve lets a new client in.
func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	nick := r.URL.Query().Get("nick")
	if nick == "" {
		nick = r.RemoteAddr
	}
	if len(nick) > maxNick || !utf8.ValidString(nick) {
		http.Error(w, fmt.Sprintf("nick: at most %d bytes of UTF-8", maxNick), http.StatusBadRequest)
		return
	}
	conn, rw, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		slog.Info("no WebSocket", "client", r.RemoteAddr, "error", err)
		if conn != nil {
			conn.Close() // hijacked before anything was checked; the client has its answer
		}
		return
	}
	// What the client sent right behind its request has been read already.
	unread, _ := rw.Reader.Peek(rw.Reader.Buffered())
	h.follow(core.Draining(r.Context()))
	m := newMember(h, conn, nick, unread)
	h.join(m, false)
	m.run(fmt.Appendf(nil, "* welcome, %s: process %d, generation %d", nick, os.Getpid(), core.Generation()))
}
