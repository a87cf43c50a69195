package reserve

import (
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestReadLink_WhileTheStackShrinks: the garbage collector moves a stack that has become too large. What the kernel
// writes to must not be on it.
func TestReadLink_WhileTheStackShrinks(t *testing.T) {
	t.Parallel()
	const link = "/proc/self/exe"
	want := must.Get(os.Readlink(link))(t)
	end := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				default:
				}
				if i%20 == 0 {
					growStack(100)
				}
				if got, err := readLink(link); got != want || err != nil {
					t.Errorf("the link is %q, %v; want %q", got, err, want)
					return
				}
			}
		})
	}
	for range 80 {
		runtime.GC()
	}
	close(end)
	readers.Wait()
}

//go:noinline
func growStack(depth int) byte {
	var frame [512]byte
	if depth > 0 {
		frame[depth] = growStack(depth - 1)
	}
	return frame[len(frame)-1]
}
