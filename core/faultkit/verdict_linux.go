package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
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
