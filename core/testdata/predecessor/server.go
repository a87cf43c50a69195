//go:build unix

package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// server serves HTTP on all listeners.
type server struct {
	http      *http.Server
	listeners []net.Listener
	loops     sync.WaitGroup // accept loops

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func serve(listeners []net.Listener) *server {
	s := &server{listeners: listeners, conns: make(map[net.Conn]bool)}
	s.http = &http.Server{Handler: http.HandlerFunc(echo), ConnState: s.follow}
	for _, ln := range listeners {
		s.loops.Go(func() { s.http.Serve(ln) })
	}
	return s
}

func (s *server) follow(c net.Conn, st http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st == http.StateClosed || st == http.StateHijacked {
		delete(s.conns, c)
	} else {
		s.conns[c] = true
	}
}

// leave accepts no more, and returns when all that was accepted has been answered. The accept loops
// have to end first: one may be blocked in the kernel, and takes one more connection.
func (s *server) leave() {
	s.http.SetKeepAlivesEnabled(false)
	for _, ln := range s.listeners {
		go ln.Close()
	}
	s.loops.Wait()
	s.http.SetKeepAlivesEnabled(false)
	for left := 1; left > 0; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		left = len(s.conns)
		s.mu.Unlock()
	}
	say("left")
}

// echo answers as the example programs do.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("X-Program", "predecessor")
	w.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	w.Header().Set("X-Generation", "0")
	w.Write(body)
}
