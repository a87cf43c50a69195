//go:build !unix

package publish

import "os"

func lockDir(dir string) (*os.File, error) { return os.Open(dir) }

func unlockDir(f *os.File) { _ = f.Close() }

// syncDir does nothing: a directory can't be synced there.
func syncDir(string) error { return nil }
