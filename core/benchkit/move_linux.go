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
	for _, n := range k.moveConns {
		cells = append(cells, cell{
			name: strconv.Itoa(n), conns: n, rounds: k.moveRounds,
			measure: func(ctx context.Context, b build) (figures, losses, error) { return k.moveOnce(ctx, b, n) },
		})
	}
	return k.compare(ctx, "move", "How long so many idle connections take to move: from *draining* to *generation ended* in the"+
		" log of the old process. Median (lowest..highest) of "+strconv.Itoa(k.moveRounds)+".",
		[]string{"draining to end, ms"}, cells)
}

func (k *kit) moveOnce(ctx context.Context, b build, n int) (_ figures, lost losses, err error) {
	s, err := b.start(ctx, k)
	if err != nil {
		return nil, lost, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	open, err := s.dial(ctx, n)
	if err != nil {
		return nil, lost, err
	}
	lost.add(open.ask())
	u, err := s.upgrade(ctx)
	if err != nil {
		return nil, lost, err
	}
	lost.add(open.ask())
	return figures{{u.toEnd()}}, lost, nil
}
