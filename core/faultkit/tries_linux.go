package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// errNothing: no cell has the name that was asked for.
var errNothing = errors.New("no cell to try: -run and -short leave none, for this program")

// tryAll tries the upgrade without a fault first, which shows what the program can,
// and then each cell that there is for it. What it finds is said as it goes.
func (o *options) tryAll(ctx context.Context, progress io.Writer) (*matrix, error) {
	first := o.try(ctx, begin, false)
	if first.err != nil {
		o.show(progress, first)
		return nil, fmt.Errorf("an upgrade without a fault: %w", first.err)
	}
	fmt.Fprintln(progress, first)
	cells := o.choose(first.heard)
	if len(cells) == 0 {
		return nil, errNothing
	}
	m := &matrix{results: []result{first}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	places := make(chan struct{}, max(o.parallel, 1))
	for _, c := range slices.Repeat(cells, max(o.times, 1)) {
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-places }()
			r := o.try(ctx, c, first.heard.onTrial)
			mu.Lock()
			defer mu.Unlock()
			m.results = append(m.results, r)
			fmt.Fprintln(progress, r)
			o.show(progress, r)
		})
	}
	wg.Wait()
	return m, ctx.Err()
}

// try tries one cell.
func (o *options) try(ctx context.Context, c cell, probation bool) result {
	t, err := o.newTrial(ctx, c, probation)
	if err != nil {
		return result{cell: c, err: err}
	}
	defer os.RemoveAll(t.dir)
	return t.run()
}

// show prints what the programs of a failed cell have written.
func (o *options) show(w io.Writer, r result) {
	if o.verbose && r.err != nil && !r.skipped() {
		for i, err := range r.lost {
			if i == maxShown {
				fmt.Fprintf(w, "\t... %d more\n", len(r.lost)-i)
				break
			}
			fmt.Fprintf(w, "\tlost: %v\n", err)
		}
		fmt.Fprintf(w, "%s\n", r.output)
	}
}

// maxShown is how many lost requests of a cell are worth a line.
const maxShown = 10
