//go:build !unix

package core

func resetHangup() {}
