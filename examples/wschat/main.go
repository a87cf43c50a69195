// Command wschat is the chat of gorilla/websocket's examples: one hub in memory, and two goroutines for each member. Its
// members stay connected while it is upgraded, nobody is seen to leave or to join again, and each message reaches every
// member once. Two lines make it so: wsmove.Handler in main, and wsmove.Move in serve.
//
//	go build -o wschat ./examples/wschat
//	./wschat -addr 127.0.0.1:8080 -pidfile wschat.pid &
//	websocat 'ws://127.0.0.1:8080/?nick=ann'
//	kill -USR2 "$(cat wschat.pid)"
//
// The program in examples/websocket is a chat that moves its connections by core.Handoff, without wsmove.
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

func main() {
	// No probation: during one, two processes would let members into two rooms.
	flags := app.Flags{Addr: ":8080", Drain: core.DefaultDrainTimeout}
	settle := flag.Duration("settle", wsmove.DefaultSettle, "how long what was said may take to reach all members, before they move")
	flags.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("pid", os.Getpid())
	room := newHub()
	go room.run()
	handler := wsmove.Handler("chat", http.HandlerFunc(room.serve), wsmove.WithSettle(*settle), wsmove.WithLogger(log))
	if err := core.ListenAndServe(flags.Addr, handler, flags.Options()...); err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "wschat:", err)
		os.Exit(1)
	}
}
