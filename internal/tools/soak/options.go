package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// What the flags are if they are left out.
const (
	defaultLasting = 30 * time.Minute
	// defaultReady is long for a process that only has to open its sockets, and
	// short enough to wait for one that is stuck on purpose.
	defaultReady = 2 * time.Second
)

// options is the command line.
type options struct {
	lasting time.Duration
	seed    uint64        // 0: chosen
	log     string        // empty: a temporary file
	ready   time.Duration // how long a new process may take
	broken  string        // names of faults, with commas
	serve   string        // the directory of a server; empty: be the soak
	few     bool          // fewer clients, and no upgrade that waits for -ready to pass
}

func (o *options) define(f *flag.FlagSet) {
	f.DurationVar(&o.lasting, "for", defaultLasting, "how long the clients ask")
	f.Uint64Var(&o.seed, "seed", 0, "of everything random; 0 chooses one")
	f.StringVar(&o.log, "log", "", "`file` for what the servers log; if empty it is kept only when a check has failed")
	f.DurationVar(&o.ready, "ready", defaultReady, "how long a new process may take to become ready")
	f.BoolVar(&o.few, "few", false, "fewer clients, for a slow machine")
	f.StringVar(&o.broken, "break", "", "break the server, to see the checks fail: "+strings.Join(faultNames, ", "))
	f.StringVar(&o.serve, "serve", "", "be the server with this `directory`; the program starts itself so")
}

// complete chooses what was left open and checks the rest.
func (o *options) complete() error {
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	for name := range strings.SplitSeq(o.broken, ",") {
		if name != "" && !slices.Contains(faultNames, name) {
			return fmt.Errorf("no fault is called %q; there are %s", name, strings.Join(faultNames, ", "))
		}
	}
	if o.lasting <= 0 || o.ready <= 0 {
		return fmt.Errorf("a time is missing: -for %v -ready %v", o.lasting, o.ready)
	}
	return nil
}

// random is one source of randomness among several, so that what one of them is
// asked for does not change the others.
func (o *options) random(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(o.seed, stream)) }

// The streams. Clients count on from the last two.
const (
	streamSchedule uint64 = 1 << 16 * (iota + 1)
	streamPipeline
	streamEcho
)

// serverArgs is the command line of the server.
func (o *options) serverArgs(dir string) []string {
	return []string{"-serve", dir, "-ready", o.ready.String(), "-break", o.broken}
}
