package main

import (
	"context"
	"errors"
	"strconv"
)

// move measures how long idle connections take to move. Each has had an answer from the process that it leaves, so it
// costs that process what a connection costs net/http.
func (k *kit) move(ctx context.Context) error {
	var cells []cell
	add := func(name string, n int, p protocol) {
		cells = append(cells, cell{
			name: name + strconv.Itoa(n), conns: n, rounds: k.moveRounds,
			measure: func(ctx context.Context, b build) (figures, losses, error) { return k.moveOnce(ctx, b, n, p) },
		})
	}
	for _, n := range k.moveConns {
		add("", n, protocol{})
	}
	add("h2c/", k.moveOthers, protocol{http2: true})
	add("tls/", k.moveOthers, protocol{secure: true})
	add("tls-h2/", k.moveOthers, protocol{secure: true, http2: true})
	return k.compare(ctx, "move", "How long so many idle connections take to move: from *draining* to *generation ended* in the"+
		" log of the old process. Median (lowest..highest) of "+strconv.Itoa(k.moveRounds)+".",
		[]string{"draining to end, ms"}, cells)
}

func (k *kit) moveOnce(ctx context.Context, b build, n int, p protocol) (_ figures, lost losses, err error) {
	flags := p.flags()
	if p.secure {
		flags = append(flags, "-tls-handoff")
	}
	s, err := b.start(ctx, k, flags...)
	if err != nil {
		return nil, lost, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	open, err := s.dial(ctx, n)
	if err != nil {
		return nil, lost, err
	}
	asks, err := p.speak(open)
	if err != nil {
		return nil, lost, err
	}
	lost.add(open.count(asks))
	u, err := s.upgrade(ctx)
	if err != nil {
		return nil, lost, err
	}
	lost.add(open.count(asks))
	return figures{{u.toEnd()}}, lost, nil
}
