package main

import (
	"errors"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
)

func TestObserver(t *testing.T) {
	t.Parallel()
	v := newVerdict(t.Output())
	m := &mix{verdict: v}
	observe := m.observer("test", leaves, 2, 0)
	answer := func(client int, generation string, dialed bool) {
		observe(load.Sample{Client: client, Dialed: dialed, Server: load.Server{Generation: generation}})
	}
	answer(0, "0", true)
	answer(1, "1", true)
	answer(0, "0", false)
	answer(0, "2", true)
	if v.err() != nil || len(m.returns) != 0 {
		t.Errorf("%v, %v", m.returns, v.err())
	}
	answer(1, "0", false)
	answer(0, "2", true)
	answer(0, "", false)
	m.observer("test, "+hijacked.Name, keeps, 1, 0)(load.Sample{})
	observe(load.Sample{Err: errors.New("lost")})
	if v.found[checkOrder] != 1 || len(m.returns) != 1 || v.found[checkRequests] != 2 {
		t.Errorf("%v, %v", m.returns, v.err())
	}
}
