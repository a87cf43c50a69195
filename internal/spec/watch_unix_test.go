//go:build unix

package spec_test

import (
	"encoding/json"
	"fmt"
	"syscall"
)

// decode takes in a line that a generation has written.
func decode(line string) (e event, ok bool) {
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		e = event{Msg: "unexpected output", Error: line} // a panic, a data race
	}
	return e, true
}

// await returns the first event that matches, of those that came already too.
func (s *server) await(what string, match func(event) bool) (first event) {
	s.t.Helper()
	s.Await(fmt.Sprintf("generation %d %s", s.gen, what), func() bool {
		found := s.events.Where(match)
		if len(found) > 0 {
			first = found[0]
		}
		return len(found) > 0
	})
	return first
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
func (s *server) logged(msg string) []event {
	return s.events.Where(func(e event) bool { return e.Msg == msg })
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.Signal(s.pid, sig)
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
	s.endsWell()
	returned := 0
	for _, e := range s.events.All() {
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

// endsWell waits until no generation is left, and checks how generation 0 ended.
func (s *server) endsWell() {
	s.t.Helper()
	if status := s.AwaitEnd(); status != 0 {
		s.t.Errorf("generation 0 ended with status %d", status)
	}
}
