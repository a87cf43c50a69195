//go:build !unix

package main

import "os"

// lock does nothing: this system has no upgrades, so that one process writes.
func lock(*os.File) error { return nil }

func unlock(*os.File) error { return nil }
