//go:build unix

package supervise

import (
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// bundle is the duplicates of a worker's listeners. It has one owner at a time, which
// closes it. A nil one is empty.
type bundle struct {
	files []int
	words []wire.Listener // by which the worker opened them
}

// add takes over files. It reports false, and closes them, if they are not as many as the
// words: the system has dropped some for want of descriptors.
func (b *bundle) add(words []wire.Listener, files []int) bool {
	if len(words) != len(files) {
		fd.CloseAll(files)
		return false
	}
	b.files, b.words = append(b.files, files...), append(b.words, words...)
	return true
}

func (b *bundle) count() int {
	if b == nil {
		return 0
	}
	return len(b.files)
}

func (b *bundle) close() {
	if b != nil {
		fd.CloseAll(b.files)
		b.files, b.words = nil, nil
	}
}

// takeActivated keeps what a service manager has opened for the service, for the first worker.
func (m *supervisor) takeActivated() error {
	start, err := foreign.TakeActivated()
	if err != nil || start == nil {
		return err
	}
	m.kept = &bundle{}
	for _, x := range start.Sockets {
		m.kept.add([]wire.Listener{{Kind: x.Kind, Foreign: true, Name: x.Name}}, []int{x.FD})
	}
	return nil
}
