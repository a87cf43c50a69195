// Command sse streams events to browsers and upgrades itself: replace its binary, send it SIGUSR2 or SIGHUP, and every
// client goes on in the new process with the event behind the last one that it has seen.
//
//	go build -o events ./examples/sse
//	./events -addr 127.0.0.1:8080 -pidfile events.pid &
//	curl -N http://127.0.0.1:8080/events &
//	curl -d hello http://127.0.0.1:8080/events
//	kill -USR2 "$(cat events.pid)"
//
// GET / is a page for a browser. What is posted to /events is an event, and GET /events is the stream of all.
//
// A stream has no end, so the drain of an old process would wait for it until its deadline. When core.Draining says that
// the process drains, a stream ends between two events and tells its client to come back soon. The client says in
// Last-Event-ID what it has seen. Nothing is lost and nothing comes twice, because the events are where every process
// finds them: here in a file, in your service in a database or a queue.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

const (
	// usualRetry is when a client comes back that has lost its stream: the server has crashed, or has stopped.
	usualRetry = 3 * time.Second
	// soon and spread are when one comes back whose stream has ended for an upgrade: not all in the same moment.
	soon   = 20 * time.Millisecond
	spread = 200 * time.Millisecond
	// pause is between two looks at the file, which other processes write to.
	pause = 20 * time.Millisecond
)

//go:embed page.html
var page []byte

func main() {
	file := flag.String("events", "events.log", "`file` that holds the events")
	flags := app.Parse(":8080")
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)).With("pid", os.Getpid()))

	err := core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", flags.Addr)
		if err != nil {
			return err
		}
		events, err := openEvents(*file)
		if err != nil {
			return err
		}
		s := &server{u, events}
		mux := http.NewServeMux()
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
		mux.HandleFunc("POST /events", s.add)
		mux.HandleFunc("GET /events", s.stream)
		return u.Attach(&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, ln)
	}, flags.Options()...)
	// nil comes back after a clean stop and after a handover, and ErrCut after a stop that cut what was left.
	if err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "sse:", err)
		os.Exit(1)
	}
}

type server struct {
	u      *core.Upgrader
	events *events
}

// add makes the body of a request an event.
func (s *server) add(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
	if err == nil {
		err = s.events.add(body)
	}
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case errors.Is(err, errLines):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// stream sends the events behind Last-Event-ID, without it all, and those that come.
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	seen := s.events.place(r.Header.Get("Last-Event-ID"))
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintf(w, "retry: %d\n\n", usualRetry.Milliseconds())
	out := http.NewResponseController(w)
	again := time.NewTicker(pause)
	defer again.Stop()
	b := make([]byte, 4*maxEvent)
	for news := true; ; news = false {
		for e := range s.events.after(seen, b) {
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n", e.id, e.data)
			seen, news = e.id, true
		}
		if news && out.Flush() != nil {
			return
		}
		select {
		case <-again.C:
		case <-core.Draining(r.Context()):
			s.sayGoodbye(w)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// sayGoodbye has the client come back soon, if somebody is there. On a stop it comes back in the usual time.
func (s *server) sayGoodbye(w io.Writer) {
	if s.u.State() == core.StateDraining {
		fmt.Fprintf(w, "retry: %d\n\n", (soon + rand.N(spread)).Milliseconds())
	}
}
