package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// seriesColumns are the two parts of an upgrade.
var seriesColumns = []string{"signal to current, ms", "draining to end, ms"}

// load is what a server has open when it is upgraded.
type load struct {
	idle, inFlight int // connections
	listeners      int
}

// series measures how long an upgrade takes by what the process has open.
func (k *kit) series(ctx context.Context) error {
	var cells []cell
	add := func(name string, l load) {
		cells = append(cells, cell{
			name: name, conns: l.idle + l.inFlight + l.listeners, rounds: k.seriesRounds,
			measure: func(ctx context.Context, b build) (figures, losses, error) { return k.seriesOnce(ctx, b, l) },
		})
	}
	for _, n := range k.seriesConns {
		add(strconv.Itoa(n), load{idle: n, listeners: 1})
	}
	add(fmt.Sprintf("%d-listeners", k.listeners), load{listeners: k.listeners})
	add(fmt.Sprintf("%d-in-flight", k.inFlight), load{inFlight: k.inFlight, listeners: 1})
	err := k.compare(ctx, "series", fmt.Sprintf("How long an upgrade takes with so many idle connections, with %d listeners, and with"+
		" %d requests that are answered when the new process is current. Median (lowest..highest) of %d upgrades of %d processes each.",
		k.listeners, k.inFlight, k.seriesUpgrades, k.seriesRounds), seriesColumns, cells)
	if err != nil {
		return err
	}
	return k.inARow(ctx)
}

func (k *kit) seriesOnce(ctx context.Context, b build, l load) (f figures, lost losses, err error) {
	s, err := b.start(ctx, k, "-listeners", strconv.Itoa(l.listeners))
	if err != nil {
		return nil, lost, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	idle, err := s.dial(ctx, l.idle)
	if err != nil {
		return nil, lost, err
	}
	busy, err := s.dial(ctx, l.inFlight)
	if err != nil {
		return nil, lost, err
	}
	f = make(figures, len(seriesColumns))
	for i := range k.seriesUpgrades {
		if i == 0 || !k.parked {
			lost.add(idle.ask())
		}
		lost.add(busy.hold())
		u, err := s.begin(ctx)
		lost.add(busy.release())
		if err == nil {
			err = u.finish(ctx)
		}
		if err != nil {
			return nil, lost, err
		}
		f[0], f[1] = append(f[0], u.toCurrent()), append(f[1], u.toEnd())
	}
	lost.add(idle.ask())
	return f, lost, nil
}

const (
	rowConns = 64 // that are asked between the upgrades in a row
	quarters = 4
)

// row is a service that is upgraded again and again.
type row struct {
	build
	service *service
	conns   conns
	figures figures // of this quarter
	lost    losses
}

// inARow upgrades many times, and shows whether later upgrades take longer or leave more behind.
func (k *kit) inARow(ctx context.Context) (err error) {
	name := fmt.Sprintf("%d-in-a-row", k.rowLength)
	if !k.chosen("series/" + name) {
		return nil
	}
	var rows []*row
	for _, b := range k.builds {
		r := &row{build: b}
		if r.service, err = b.start(ctx, k); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.service.stop()) }()
		if r.conns, err = r.service.dial(ctx, rowConns); err != nil {
			return err
		}
		rows = append(rows, r)
	}
	k.head("series/"+name, fmt.Sprintf("%d upgrades in a row, with %d connections that are asked in between. Median (lowest..highest) of"+
		" each quarter, and what the process holds at its end.", k.rowLength, rowConns),
		slices.Concat([]string{"upgrades", "server"}, seriesColumns, []string{"RSS, MB", "descriptors", "threads", "lost"}))
	quarter := k.rowLength / quarters
	for n := range quarters {
		for _, r := range rows {
			r.figures, r.lost = make(figures, len(seriesColumns)), losses{}
		}
		k.say("series/%s: quarter %d of %d", name, n+1, quarters)
		for i := range quarter {
			for j := range rows { // the builds take turns, and neither of two always comes first
				if err := rows[(i+j)%len(rows)].step(ctx); err != nil {
					return err
				}
			}
		}
		for _, r := range rows {
			k.lost.add(r.lost)
			pid := r.service.current.pid
			k.row(slices.Concat([]string{fmt.Sprintf("%d to %d", n*quarter+1, (n+1)*quarter), r.name}, r.figures.texts(), []string{
				number(megabytes(resident(pid))), fmt.Sprint(descriptors(pid)), fmt.Sprint(threads(pid)), fmt.Sprint(r.lost.count),
			})...)
		}
	}
	return nil
}

// step upgrades once.
func (r *row) step(ctx context.Context) error {
	r.lost.add(r.conns.ask())
	u, err := r.service.upgrade(ctx)
	if err != nil {
		return err
	}
	r.lost.add(r.conns.ask())
	r.figures = r.figures.join(figures{{u.toCurrent()}, {u.toEnd()}})
	return nil
}
