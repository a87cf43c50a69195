package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// result is what became of a cell.
type result struct {
	cell cell
	counts
	outcome outcome
	heard   heard
	took    time.Duration
	err     error  // nil: it is as it should be
	output  string // of the programs, with an error
}

// skipped reports whether the cell could not be tried.
func (r result) skipped() bool {
	var impossible notPossibleError
	return errors.As(r.err, &impossible)
}

// String is what stands in the matrix.
func (r result) String() string {
	if r.skipped() {
		return "not possible"
	}
	words := fmt.Sprintf("%s %d", cmp.Or(r.outcome, "?"), len(r.lost))
	if r.died > 0 {
		words += fmt.Sprintf("+%d", r.died)
	}
	if r.err != nil {
		return "WRONG " + words
	}
	return words
}

// maxShown is how many lost requests of a cell are worth a line.
const maxShown = 10

// show prints a line about it, and what the programs of a failed cell have written.
func (r result) show(w io.Writer) {
	if r.skipped() {
		fmt.Fprintf(w, "%-20v %v\n", r.cell, r.err)
		return
	}
	fmt.Fprintf(w, "%-20v %v: %d requests, %d lost, %d died with a killed process (%.1f s)",
		r.cell, r, r.requests, len(r.lost), r.died, r.took.Seconds())
	if r.err != nil {
		fmt.Fprintf(w, ": %v", r.err)
	}
	fmt.Fprintln(w)
	if r.err == nil {
		return
	}
	for _, err := range r.lost[:min(len(r.lost), maxShown)] {
		fmt.Fprintf(w, "\tlost: %v\n", err)
	}
	fmt.Fprintln(w, r.output)
}

// matrix is what became of all of them.
type matrix []result

// errNothing: no cell has the name that was asked for.
var errNothing = errors.New("no cell to try: -run and -short leave none, for this program")

// tryAll tries the upgrade without a fault first, which shows what the program can,
// and then each cell that there is for it. What it finds is said as it goes.
func (o *options) tryAll(ctx context.Context, progress io.Writer) (matrix, error) {
	first := o.try(ctx, begin, false)
	first.show(progress)
	if first.err != nil {
		return nil, fmt.Errorf("an upgrade without a fault: %w", first.err)
	}
	cells := o.choose(first.heard)
	if len(cells) == 0 {
		return nil, errNothing
	}
	m := matrix{first}
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
			r := o.try(ctx, c, first.heard.onProbation)
			mu.Lock()
			defer mu.Unlock()
			m = append(m, r)
			r.show(progress)
		})
	}
	wg.Wait()
	return m, ctx.Err()
}

// print prints the matrix as a table in markdown, and then the whole in a sentence. Only faults and steps that
// something was tried of are in the table.
func (m matrix) print(w io.Writer) {
	at := slices.DeleteFunc(slices.Clone(steps), func(s step) bool {
		return !slices.ContainsFunc(m, func(r result) bool { return r.cell.step == s })
	})
	tw := tabwriter.NewWriter(w, 0, 0, 0, ' ', 0)
	fmt.Fprint(tw, "| fault")
	for _, s := range at {
		fmt.Fprintf(tw, "\t | %s", s)
	}
	fmt.Fprintln(tw, "\t |\n|---"+strings.Repeat("\t |---", len(at))+"\t |")
	for _, f := range faults {
		row, tried := "| "+string(f.name), false
		for _, s := range at {
			row += "\t | "
			if i := slices.IndexFunc(m, func(r result) bool { return r.cell.fault == f.name && r.cell.step == s }); i >= 0 {
				row, tried = row+m[i].String(), true
			}
		}
		if tried {
			fmt.Fprintln(tw, row+"\t |")
		}
	}
	_ = tw.Flush() // as Fprintln
	requests, lost, died, skipped := 0, 0, 0, ""
	tried := len(m)
	for _, r := range m {
		requests, lost, died = requests+r.requests, lost+len(r.lost), died+r.died
		if r.skipped() {
			tried--
			skipped += fmt.Sprintf(" %v: %v.", r.cell, r.err)
		}
	}
	fmt.Fprintf(w, "\n%d cells, %d requests: %d lost, %d died with a process that was killed.%s\n",
		tried, requests, lost, died, skipped)
}

// err names what went wrong.
func (m matrix) err() error {
	var wrong []string
	for _, r := range m {
		if r.err != nil && !r.skipped() {
			wrong = append(wrong, r.cell.String())
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d cells went wrong: %s", len(wrong), len(m), strings.Join(wrong, ", "))
}
