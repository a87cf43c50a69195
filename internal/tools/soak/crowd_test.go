package main

import (
	"errors"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
)

func TestObserver(t *testing.T) {
	t.Parallel()
	v := newVerdict(t.Output())
	c := newCrowd([]string{"", ""}, "", nil, v)
	observe := c.observer("test", leaves, 2, 0)
	answer := func(client int, generation string, dialed bool) {
		observe(load.Sample{Client: client, Dialed: dialed, Server: load.Server{Generation: generation}})
	}
	answer(0, "0", true)
	answer(1, "1", true)
	answer(0, "0", false)
	answer(0, "2", true)
	if v.err() != nil || len(c.returns) != 0 {
		t.Errorf("%v, %v", c.returns, v.err())
	}
	answer(1, "0", false)
	answer(0, "2", true)
	answer(0, "", false)
	observe(load.Sample{Err: errors.New("lost")})
	if v.failures(checkOrder) != 1 || len(c.returns) != 1 || v.failures(checkRequests) != 2 {
		t.Errorf("%v, %v", c.returns, v.err())
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	who := load.Server{Generation: "1"}
	one := load.Result{Requests: 2, Failed: 1, Connects: 3, Reconnects: 4, Served: map[load.Server]int{who: 1}}
	sum := merge(merge(load.Result{}, one), one)
	if sum.Requests != 4 || sum.Failed != 2 || sum.Connects != 6 || sum.Reconnects != 8 || sum.Served[who] != 2 || one.Served[who] != 1 {
		t.Errorf("%+v", sum)
	}
}
