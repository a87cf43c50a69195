package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
)

// computeArg has this program be one of the busy processes.
const computeArg = "-compute"

// compute keeps a core busy until standard input ends: with the process that started
// this one, however that ended.
func compute() {
	go func() {
		var n atomic.Uint64
		for {
			n.Add(1)
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// busy are processes that compute.
type busy struct {
	cmds []*exec.Cmd
	ends []io.Closer // of their standard inputs
}

// startBusy starts n of them. Those that are there are to be stopped with an error too.
func startBusy(n int) (*busy, error) {
	b := &busy{}
	self, err := os.Executable()
	if err != nil {
		return b, err
	}
	for range n {
		cmd := exec.Command(self, computeArg)
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return b, err
		}
		b.cmds, b.ends = append(b.cmds, cmd), append(b.ends, in)
	}
	return b, nil
}

// stop ends them, and returns when they are gone.
func (b *busy) stop() {
	for i, cmd := range b.cmds {
		_ = b.ends[i].Close()
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			continue // nobody may wait for it then
		}
		_ = cmd.Wait()
	}
	b.cmds, b.ends = nil, nil
}
