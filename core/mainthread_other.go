//go:build !linux

package core

// offMainThread calls f. Other systems give a signal to any thread that can take it.
func offMainThread(f func()) { f() }
