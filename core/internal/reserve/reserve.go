// Package reserve says how many threads and how much memory the system leaves for one more process of the program, and
// keeps some threads for this one. The Go runtime ends a process that needs a thread and gets none, so the next process
// must not take the last ones.
package reserve

import (
	"runtime"
	"sync"
)

// System is the directory where proc(5) is mounted. The zero System is the machine's own, /proc.
type System string

// Limit is a bound on what several processes have together.
type Limit struct {
	Name   string // of the bound, and whom it binds, as in "pids.max of /system.slice/shop.service"
	Max    uint64
	Free   uint64
	Remedy string // what to raise
}

// Limits are the bounds on one thing. There are none where the system has none.
type Limits struct {
	All     []Limit
	Unknown []error // why some can't be seen
}

// Short returns the first limit that leaves less than need.
func (l Limits) Short(need uint64) (short Limit, ok bool) {
	for _, limit := range l.All {
		if limit.Free < need {
			return limit, true
		}
	}
	return Limit{}, false
}

func (l *Limits) add(name string, most, used uint64, remedy string) {
	l.All = append(l.All, Limit{Name: name, Max: most, Free: most - min(used, most), Remedy: remedy})
}

// blocked is how many threads of this process can be in system calls during an upgrade, beside those that were before.
// Four wait for the upgrade itself: for the end of the new process and of the fork, for its stderr, and for files. The
// others are the program's: on a busy machine each goroutine that reads or writes can hold a thread for a while.
const blocked = 4 + 8

// kept are the threads that KeepThreads has started.
var kept struct {
	mu    sync.Mutex
	count int
}

// Kept returns how many threads KeepThreads has started.
func Kept() int {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	return kept.count
}

// Keep is how many threads KeepThreads starts at most: those that it needs, as many as run Go code meanwhile, and a few
// of the runtime's own. One of these starts threads for goroutines which are locked to theirs, others change hands.
func Keep() int { return spares() + runtime.GOMAXPROCS(0) + 4 }

// spares are one thread for each processor that Go code runs on, and those that can be blocked.
func spares() int { return runtime.GOMAXPROCS(0) + blocked }

// KeepThreads starts threads of this process, so that it needs no more of them during an upgrade, whatever the next
// process takes. There has to be room for as many as Keep says.
//
// The runtime never ends a thread, and takes an idle one before it starts another. A goroutine that is locked to its
// thread and waits has that for itself. So once all of these wait, each has another thread, and those are idle
// afterwards. Threads that are idle before are taken, too, so that a second call starts few or none.
func KeepThreads() {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	before := threads()
	var end sync.WaitGroup
	waits, release := make(chan struct{}), make(chan struct{})
	for range spares() {
		end.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			waits <- struct{}{}
			<-release
		})
		<-waits // one after the other, which takes the fewest threads
	}
	close(release)
	end.Wait()
	kept.count += max(threads()-before, 0)
}

// KeepThreads calls the function KeepThreads where the limits are known, and leave room for it.
func (s System) KeepThreads() {
	_, limits := s.Threads()
	if _, short := limits.Short(uint64(Keep())); !short && len(limits.All) > 0 {
		KeepThreads()
	}
}

// threads is how many threads the runtime has started.
func threads() int {
	n, _ := runtime.ThreadCreateProfile(nil)
	return n
}
