package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// check is something that has to hold.
type check string

// The checks.
const (
	checkRequests    check = "requests"    // one was not answered, or wrongly
	checkOrder       check = "order"       // an older generation has answered after a newer one
	checkConnections check = "connections" // a client had to connect anew
	checkLog         check = "log"         // a server logged what it should not
	checkUpgrades    check = "upgrades"    // a signal was without effect
	checkLedgers     check = "ledgers"     // the accounts do not agree
	checkMemory      check = "memory"      // it grows
	checkDescriptors check = "descriptors" // they grow
	checkGoroutines  check = "goroutines"  // some are left
	checkGenerations check = "generations" // too many are alive, or one is too long
	checkZombies     check = "zombies"     // a process has ended and nobody cares
	checkEnd         check = "end"         // a process did not end, or badly
	checkStorm       check = "storm"       // it could not go on, or nobody served
	checkCrossed     check = "crossed"     // a request had another one's answer
	checkTwice       check = "twice"       // the handler ran more than once for a request, or not at all
)

// clock is how a time of day is written, to find it in the log.
const clock = "15:04:05.000"

// shownEach is how many failures of each check are printed; all are counted.
const shownEach = 10

// verdict is what was found wrong. It prints it when it is found, to the same
// place as everything else that goes to the user.
type verdict struct {
	out io.Writer

	mu    sync.Mutex
	found map[check]int
}

func newVerdict(out io.Writer) *verdict { return &verdict{out: out, found: map[check]int{}} }

// fail notes that a check has failed.
func (v *verdict) fail(c check, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.found[c]++; v.found[c] <= shownEach {
		fmt.Fprintf(v.out, "FAIL %s %s: %s\n", time.Now().Format(clock), c, fmt.Sprintf(format, args...))
	}
}

// say prints something else.
func (v *verdict) say(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.out, format+"\n", args...)
}

// failed counts what was found so far.
func (v *verdict) failed() (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, found := range v.found {
		n += found
	}
	return n
}

// err is nil if every check has held.
func (v *verdict) err() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var failed []string
	for _, c := range slices.Sorted(maps.Keys(v.found)) {
		failed = append(failed, fmt.Sprintf("%s (%d)", c, v.found[c]))
	}
	if failed == nil {
		return nil
	}
	return errors.New("failed: " + strings.Join(failed, ", "))
}

// progress is one line on how it goes.
func (s *soak) progress() string {
	state, now := s.journal.look(), s.mix.all()
	line := fmt.Sprintf("%6v  %d upgrades, %d failed on purpose  %d requests, %d lost  %d connections, %d of those that keep theirs",
		time.Since(s.began).Round(time.Second), max(state.newest(), 0), state.failures(),
		now.Requests, now.Failed, now.Connects, s.mix.reconnects(keeps))
	if n := len(state.samples); n > 0 {
		for _, m := range measures {
			line += fmt.Sprintf("  %s %s", m.name, m.words(m.of(state.samples[n-1].Census)))
		}
	}
	return line + fmt.Sprintf("  %d alive", s.watch.now)
}

// summary is what a page can quote.
func (s *soak) summary() string {
	clients, state := s.books.clients, s.books.journalState
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, fmt.Sprintf(format, args...))
	}
	b.WriteString("\n| | |\n|---|---|\n")
	row("time under load", "%v, seed %d, %s %s/%s, %d processors",
		s.elapsed.Round(time.Second), s.seed, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	row("upgrades", "%d", len(s.sums.took))
	if n := len(s.sums.took) - 1; n >= 0 {
		row("... from the signal to ready", "p50 %v, p99 %v, at most %v",
			short(s.sums.took[n/2]), short(s.sums.took[n*99/100]), short(s.sums.took[n]))
	}
	row("failed on purpose", "%d %v", state.failures(), strings.TrimPrefix(fmt.Sprint(state.failed), "map"))
	row("signals", "%d in %d bursts, %d of them to a process that had just handed over",
		s.signals, s.strikes, state.refused)
	row("requests", "%d", clients.Requests)
	row("**lost**", "**%d**", clients.Failed)
	row("connections", "%d dialed, %d moved; %d clients without TLS had to reconnect",
		clients.Connects, s.sums.moved, s.mix.reconnects(keeps))
	row("... over TLS", "%d times a client was told to connect anew, and %d times had the same generation again",
		s.mix.reconnects(leaves), len(s.mix.returns))
	row("processes alive", "at most %d, the longest drain took %v", s.watch.most, s.sums.longest.Round(time.Millisecond))

	first, last := s.trend.thirds()
	for _, m := range measures {
		if first != nil {
			row(m.name, "%s, %s", m.words(first.quantile(0.5, m.of)), m.words(last.quantile(0.5, m.of)))
		}
		row("... without clients", "%s before, %s after", m.words(m.of(s.quiet[0].Census)), m.words(m.of(s.quiet[1].Census)))
	}
	fmt.Fprintf(&b, "\nThe former are medians of the first and the last third of %d samples, of generations %v old;\n"+
		"there are none with fewer than %d.\n\n%s\n", len(s.trend), s.sampleAge, 3*minPart, s.mix.table())
	if err := s.verdict.err(); err != nil {
		fmt.Fprintln(&b, err)
	} else {
		b.WriteString("all checks have held\n")
	}
	return b.String()
}

// short is a time without digits that mean nothing.
func short(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
