package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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

// String is a line about it.
func (r result) String() string {
	words := fmt.Sprintf("%-20v %-11s %d requests, %d lost", r.cell, cmp.Or(r.outcome, "?"), r.requests, len(r.lost))
	if r.died > 0 {
		words += fmt.Sprintf(", %d died with the killed process", r.died)
	}
	words += fmt.Sprintf(" (%.1f s)", r.took.Seconds())
	switch {
	case r.skipped():
		return fmt.Sprintf("%-20v %v", r.cell, r.err)
	case r.err != nil:
		return "WRONG " + words + ": " + r.err.Error()
	}
	return words
}

// short is what stands in the matrix.
func (r result) short() string {
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

// matrix is what became of all of them.
type matrix struct {
	results []result
}

// grid returns the matrix as rows of words, the heading first. Only faults and steps
// that something was tried of are in it.
func (m *matrix) grid() [][]string {
	heading := []string{"fault"}
	var at []step
	for _, s := range steps {
		if slices.ContainsFunc(m.results, func(r result) bool { return r.cell.step == s }) {
			at, heading = append(at, s), append(heading, string(s))
		}
	}
	rows := [][]string{heading}
	for _, f := range faults {
		row, tried := []string{string(f)}, false
		for _, s := range at {
			words := ""
			if i := slices.IndexFunc(m.results, func(r result) bool { return r.cell.fault == f && r.cell.step == s }); i >= 0 {
				words, tried = m.results[i].short(), true
			}
			row = append(row, words)
		}
		if tried {
			rows = append(rows, row)
		}
	}
	return rows
}

// text prints the matrix for a terminal.
func (m *matrix) text(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range m.grid() {
		fmt.Fprintln(tw, strings.Join(row, "\t")+"\t")
	}
	_ = tw.Flush() // as Fprintln
	fmt.Fprintln(w, m.sum())
}

// markdown prints it for a document.
func (m *matrix) markdown(w io.Writer) {
	for i, row := range m.grid() {
		fmt.Fprintln(w, "| "+strings.Join(row, " | ")+" |")
		if i == 0 {
			fmt.Fprintln(w, strings.Repeat("|---", len(row))+"|")
		}
	}
	fmt.Fprintf(w, "\n%s\n", m.sum())
}

// sum is the whole in a sentence.
func (m *matrix) sum() string {
	requests, lost, died, skipped := 0, 0, 0, 0
	for _, r := range m.results {
		requests, lost, died = requests+r.requests, lost+len(r.lost), died+r.died
		if r.skipped() {
			skipped++
		}
	}
	words := fmt.Sprintf("%d cells, %d requests: %d lost, %d died with a process that was killed.",
		len(m.results)-skipped, requests, lost, died)
	for _, r := range m.results {
		if r.skipped() {
			words += fmt.Sprintf(" %v: %v.", r.cell, r.err)
		}
	}
	return words
}

// err names what went wrong.
func (m *matrix) err() error {
	var wrong []string
	for _, r := range m.results {
		if r.err != nil && !r.skipped() {
			wrong = append(wrong, r.cell.String())
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d cells went wrong: %s", len(wrong), len(m.results), strings.Join(wrong, ", "))
}
