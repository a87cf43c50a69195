//go:build unix

package spec_test

import (
	"bufio"
	"encoding/json"
	"syscall"
	"time"
)

// read takes in what the generations write, until the last one has ended.
func (s *server) read(lines *bufio.Scanner) {
	for more := true; more; {
		more = lines.Scan()
		s.mu.Lock()
		if more {
			var e event
			s.output = append(s.output, lines.Text())
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				e = event{Msg: "unexpected output", Error: lines.Text()} // a panic, a data race
			}
			s.events = append(s.events, e)
		}
		s.ended = !more
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	}
}

// await returns the first event that matches, of those that came already too.
func (s *server) await(what string, match func(event) bool) event {
	s.t.Helper()
	late := time.After(patience)
	for {
		s.mu.Lock()
		for _, e := range s.events {
			if match(e) {
				s.mu.Unlock()
				return e
			}
		}
		ended, changed := s.ended, s.changed
		s.mu.Unlock()
		if ended {
			s.t.Fatalf("waiting for generation %d %s: the last process has ended", s.gen, what)
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("waiting for generation %d %s: nothing in %v", s.gen, what, patience)
		}
	}
}

// awaitHere is await for what the current generation logs.
func (s *server) awaitHere(msg string) event {
	s.t.Helper()
	return s.await("to log "+msg, func(e event) bool { return e.Msg == msg && e.Generation == s.gen })
}

// awaitEnd waits until a generation has nothing left.
func (s *server) awaitEnd(gen int) event {
	s.t.Helper()
	return s.await("to end", func(e event) bool { return e.Msg == "generation ended" && e.Generation == gen })
}

// last returns the last event of its kind so far, or none.
func (s *server) last(msg string) event {
	if found := s.logged(msg); len(found) > 0 {
		return found[len(found)-1]
	}
	return event{}
}

// logged returns all events of a kind so far.
func (s *server) logged(msg string) (found []event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Msg == msg {
			found = append(found, e)
		}
	}
	return found
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.pid, sig); err != nil {
		s.t.Fatalf("signal %v to generation %d: %v", sig, s.gen, err)
	}
}

// upgrade returns when the next generation is current.
func (s *server) upgrade(sig syscall.Signal) {
	s.t.Helper()
	s.signal(sig)
	s.gen++
	s.pid = s.awaitHere("current").PID
}

// copy is the server as it is now: which generation is current.
func (s *server) copy() *server {
	return &server{t: s.t, pid: s.pid, gen: s.gen}
}

// stop stops the current generation and checks that every one has ended well.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	s.end()
}

// end waits for the end of every generation, and checks that each was a good one.
func (s *server) end() {
	s.t.Helper()
	if err := s.gone(); err != nil {
		s.t.Errorf("generation 0 ended with %v", err)
	}
	returned := 0
	for _, e := range s.events {
		switch e.Msg {
		case "returned":
			returned++
			if e.Error != "" {
				s.t.Errorf("generation %d returned %s", e.Generation, e.Error)
			}
		case "generation ended":
			if e.Ledger.Cut != 0 {
				s.t.Errorf("generation %d cut %d requests", e.Generation, e.Ledger.Cut)
			}
		case "unexpected output":
			s.t.Error(e.Error)
		}
	}
	if returned != s.gen+1 {
		s.t.Errorf("%d of %d generations returned", returned, s.gen+1)
	}
}

// gone waits until no generation is left, and returns how generation 0 ended.
func (s *server) gone() error {
	s.t.Helper()
	late := time.After(patience)
	for {
		s.mu.Lock()
		ended, changed := s.ended, s.changed
		s.mu.Unlock()
		if ended {
			break
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("a generation still runs after %v", patience)
		}
	}
	select {
	case err := <-s.exit:
		return err
	case <-late:
		s.t.Fatal("generation 0 still runs")
		return nil
	}
}
