package main

import (
	"os"
	"sync"

	"gopkg.in/natefinch/lumberjack.v2"
)

// shared lets two processes write by lumberjack to the same files, as during an upgrade. Lumberjack alone does not: it
// writes to a file that it has begun at an offset of its own, over what another process has written there.
type shared struct {
	to *lumberjack.Logger

	mu   sync.Mutex
	lock *os.File // a file beside the log; nil before the first line
}

// Write writes a line while no other process does. The next line is written to the file that is there then, at its end.
func (s *shared) Write(line []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		if s.lock, err = os.OpenFile(s.to.Filename+".lock", os.O_CREATE|os.O_RDWR, 0o600); err != nil {
			return 0, err
		}
	}
	if err := lock(s.lock); err != nil {
		return 0, err
	}
	defer unlock(s.lock)
	if n, err = s.to.Write(line); err != nil {
		return n, err
	}
	return n, s.to.Close()
}
