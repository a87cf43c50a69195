package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// answerTimeout bounds the wait for what a client of the soak's own has asked for.
const answerTimeout = 2 * load.DefaultTimeout

// own is clients that package load does not have, each with one connection.
type own struct {
	*tally
	stop chan struct{}
	once sync.Once
	wg   sync.WaitGroup
}

// ownClient uses one connection until stop is closed or something is wrong, which
// it has counted then and returns as false.
type ownClient func(c net.Conn, rng *rand.Rand, t *tally, stop <-chan struct{}) bool

// startOwn sets clients going. Each has its own randomness.
func startOwn(at load.Config, clients int, t *tally, o *options, stream uint64, client ownClient) *own {
	run := &own{tally: t, stop: make(chan struct{})}
	network := at.Network
	if network == "" {
		network = "tcp"
	}
	for i := range clients {
		rng := o.random(stream + uint64(i))
		run.wg.Go(func() {
			for again, good := false, false; !good; again = true {
				good = run.connect(network, at.Addr, again, rng, client)
			}
		})
	}
	return run
}

// connect uses a client once. It reports whether that was the end of it.
func (o *own) connect(network, addr string, again bool, rng *rand.Rand, client ownClient) bool {
	if again && !pause(100*time.Millisecond, o.stop) {
		return true
	}
	c, err := net.DialTimeout(network, addr, answerTimeout)
	if err != nil {
		o.failed(1, err)
		return false
	}
	defer c.Close()
	o.dialed(again)
	return client(c, rng, o.tally, o.stop)
}

// Snapshot is the count so far.
func (o *own) Snapshot() load.Result { return o.result() }

// Stop lets the clients finish.
func (o *own) Stop() load.Result {
	o.once.Do(func() { close(o.stop) })
	o.wg.Wait()
	return o.result()
}

// lost counts a request that failed of err, and those that were behind it. The
// connection is closed, so that nobody waits for it any more.
func (t *tally) lost(c net.Conn, err error, behind func() int) {
	c.Close()
	t.failed(1+behind(), fmt.Errorf("%v->%v: %w", c.LocalAddr(), c.RemoteAddr(), err))
}

// rest counts what is left in a channel, once it is closed.
func rest[T any](ch <-chan T) func() int {
	return func() (n int) {
		for range ch {
			n++
		}
		return n
	}
}

// pause lets d pass and reports whether it did before stop was closed.
func pause(d time.Duration, stop <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-stop:
		return false
	}
}

// upTo is a random time of up to d.
func upTo(d time.Duration, rng *rand.Rand) time.Duration {
	return time.Duration(rng.Int64N(int64(d) + 1))
}
