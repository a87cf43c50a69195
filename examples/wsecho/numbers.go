package main

import (
	"strconv"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/wsmove"
)

const (
	// every is how often a client gets a number.
	every        = 20 * time.Millisecond
	numberPrefix = "number "
)

// count sends "number 0", "number 1" and so on by write, from a goroutine of its own, until that fails or stop is
// called. It goes on where the old process has stopped.
func count(s *wsmove.Session, write func(message string) error) (stop func()) {
	next, _ := strconv.Atoi(string(s.State())) // 0 for a new connection
	quit, counting := make(chan struct{}), sync.WaitGroup{}
	counting.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if err := write(numberPrefix + strconv.Itoa(next)); err != nil {
				return // wsmove.ErrMoving, or the client is gone
			}
			next++
		}
	})
	// Called when the handler has returned, and so after stop.
	s.OnMove(func() []byte { return []byte(strconv.Itoa(next)) })
	return func() {
		close(quit)
		counting.Wait()
	}
}
