//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// lock waits until no other process has the file locked. The system takes the lock from a process that ends.
func lock(file *os.File) error { return flock(file, syscall.LOCK_EX) }

func unlock(file *os.File) error { return flock(file, syscall.LOCK_UN) }

func flock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
