// Command bench measures what it costs a server to have promx and to be scraped each second. In a clone of the
// repository:
//
//	go run ./promx/internal/bench
//
// Three servers have their turn in each round: one without promx, the same once more, and one with it. In its turn
// connections ask, each when it has its answer, and the one with promx is scraped each second. The ratios are those of
// each round, because in a round all had the same machine. That of the second server, which is like the first one, is
// the error of the measuring. It is larger than the cost of a scrape, so the processor time of that is measured by itself,
// too.
//
// The exit status is 1 if a request was lost, and never because of a ratio.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

func main() {
	serve := flag.String("serve", "", "be a server of this `kind`, plain or metrics; bench starts them itself")
	rounds := flag.Int("rounds", 120, "how many rounds")
	turn := flag.Duration("turn", time.Second, "how long a server has its turn in a round")
	every := flag.Duration("every", time.Second, "the time between two scrapes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	switch {
	case *serve != "":
		err = server(*serve)
	case *rounds < 1 || *turn <= 0 || *every <= 0 || flag.NArg() > 0:
		err = errors.New("the number of rounds and the times have to be positive, and there are no other arguments")
	default:
		err = measure(ctx, os.Stdout, os.Stderr, *rounds, *turn, *every)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// contestant is a server and what was measured of it.
type contestant struct {
	name string
	*running
	rate    []float64 // requests a second
	cpu     []float64 // of the server for a request, in microseconds
	scrapes int
}

// measure prints a table in Markdown.
func measure(ctx context.Context, out, progress io.Writer, rounds int, turn, every time.Duration) (err error) {
	var all []*contestant
	for _, c := range []struct{ name, kind string }{
		{"without promx", plain}, {"without promx again", plain}, {"with promx, scraped", withMetrics},
	} {
		r, err := start(ctx, c.kind)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		defer func() { err = errors.Join(err, r.end()) }()
		all = append(all, &contestant{name: c.name, running: r})
	}
	for round := range rounds + 1 { // the first one makes all warm
		for i := range all {
			c := all[(i+round)%len(all)]
			if err := c.turn(ctx, turn, every); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round == 0 {
				c.rate, c.cpu, c.scrapes = nil, nil, 0
			}
		}
		fmt.Fprintf(progress, "\rround %d of %d", round, rounds)
	}
	fmt.Fprintln(progress)
	fmt.Fprintf(out, "%d rounds, %d connections, %v for each server in each of them, a scrape every %v; %d cores, %s. Median [quartiles].\n\n",
		rounds, connections, turn, every, runtime.NumCPU(), runtime.Version())
	fmt.Fprintf(out, "| server | requests/s | ratio | CPU of the server for a request, µs | ratio | scrapes |\n|---|---|---|---|---|---|\n")
	for _, c := range all {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %d |\n", c.name,
			spread(c.rate, 0), spread(over(c.rate, all[0].rate), 4), spread(c.cpu, 2), spread(over(c.cpu, all[0].cpu), 4), c.scrapes)
	}
	cost, err := all[len(all)-1].scrapeCost(ctx, scrapesAlone)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nA scrape takes %.0f µs of processor time. One every %v takes %.5f of %d cores.\n",
		cost.Seconds()*1e6, every, cost.Seconds()/every.Seconds()/float64(runtime.NumCPU()), runtime.NumCPU())
	return nil
}

// scrapesAlone is how many scrapes are measured by themselves.
const scrapesAlone = 500

// scrapeCost is the processor time of the server for a scrape.
func (r *running) scrapeCost(ctx context.Context, n int) (time.Duration, error) {
	used := r.cpuTime()
	for range n {
		if err := scrape(ctx, r.metrics); err != nil {
			return 0, err
		}
	}
	return (r.cpuTime() - used) / time.Duration(n), nil
}

// turn asks the server for a while.
func (c *contestant) turn(ctx context.Context, d, every time.Duration) error {
	used, began := c.cpuTime(), time.Now()
	asked, scraped, err := c.load(ctx, d, every)
	took := time.Since(began).Seconds()
	c.rate = append(c.rate, float64(asked)/took)
	c.cpu = append(c.cpu, (c.cpuTime()-used).Seconds()*1e6/float64(asked))
	c.scrapes += scraped
	return err
}
