//go:build !unix

package core

// startProcess is not supported here.
func startProcess(string, launch, string, []int) (process, error) { return nil, ErrUnsupported }
