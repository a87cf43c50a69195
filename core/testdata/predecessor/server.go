//go:build unix

package main

import (
	"encoding/binary"
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
	packets   []net.PacketConn

	loops sync.WaitGroup // accept loops, and reads of datagrams
	conns sync.WaitGroup
}

// serve answers each datagram by itself and the number of this process, as the tests' program does.
func serve(listeners []net.Listener, packets []net.PacketConn) *server {
	s := &server{listeners: listeners, packets: packets}
	s.http = &http.Server{Handler: http.HandlerFunc(echo), ConnState: func(_ net.Conn, st http.ConnState) {
		switch st {
		case http.StateNew: // in the accept loop
			s.conns.Add(1)
		case http.StateClosed:
			s.conns.Done()
		}
	}}
	for _, ln := range listeners {
		s.loops.Go(func() { s.http.Serve(ln) })
	}
	for _, c := range packets {
		s.loops.Go(func() {
			b := make([]byte, 1500)
			for {
				n, from, err := c.ReadFrom(b[:1400])
				if err != nil {
					return
				}
				c.WriteTo(binary.BigEndian.AppendUint32(b[:n], uint32(os.Getpid())), from)
			}
		})
	}
	return s
}

// leave accepts no more, and returns when all that was accepted has been answered. The accept loops
// have to end first: one may be blocked in the kernel, and takes one more connection. With
// PREDECESSOR_STAYS clients keep their connections for as long as they like.
func (s *server) leave() {
	stays := os.Getenv("PREDECESSOR_STAYS") != ""
	s.http.SetKeepAlivesEnabled(stays)
	for _, ln := range s.listeners {
		go ln.Close()
	}
	for _, c := range s.packets {
		c.SetReadDeadline(time.Now()) // what was read is answered
	}
	s.loops.Wait()
	s.http.SetKeepAlivesEnabled(stays)
	s.conns.Wait()
	say("left")
}

// echo answers as the example programs do.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	w.Header().Set("X-Generation", "0")
	w.Write(body)
}
