package core

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/program"
)

// capture is the old process's end of a new one's stderr while that starts: what
// comes through the pipe is copied to this process's stderr at once, and the last
// lines are kept for the error. See startStderr for the other end.
//
// A nil one does nothing: the new process has this one's stderr.
type capture struct {
	lastLines
	log    *slog.Logger
	reader *os.File // closed by copy

	// The new process's; closed by handedOut.
	write, real, read int
	writeID           uint64

	ended   atomic.Bool   // see end
	relayed atomic.Bool   // see relay
	copied  chan struct{} // closed at the end of copy
}

// newCapture makes the pipe for the stderr of the program at path. It returns nil, and
// says why to the debug log, where the program is better off with this process's own.
func newCapture(path string, log *slog.Logger) *capture {
	c, err := openCapture(path)
	if err != nil {
		log.Debug("the new process gets this one's stderr as it is", "why", err)
		return nil
	}
	c.log = log
	return c
}

func openCapture(path string) (c *capture, err error) {
	if err := fd.CheckOutput(fd.Stderr); err != nil {
		return nil, err
	}
	if err := givesBack(path); err != nil {
		return nil, err
	}
	c = &capture{write: -1, real: -1, read: -1, copied: make(chan struct{})}
	if c.reader, c.write, err = fd.Pipe(); err != nil {
		return nil, err
	}
	if c.writeID, err = fd.PipeID(c.write); err == nil {
		c.real, err = fd.DupOf(fd.Stderr)
	}
	if err == nil {
		var rc syscall.RawConn
		if rc, err = c.reader.SyscallConn(); err == nil {
			c.read, err = fd.Dup(rc)
		}
	}
	if err != nil {
		c.handedOut()
		_ = c.reader.Close()
		return nil, err
	}
	return c, nil
}

// module is this module's path.
const module = "github.com/gracex-go/gracex"

var errKeepsIt = errors.New("the program is not known to put its stderr back")

// givesBack returns an error if the program at path, once ready, can't be expected to
// put its real stderr back. A script may turn out to run such a program, and then
// there must be a relay.
func givesBack(path string) error {
	if fi, err := os.Stat(path); err != nil || !fi.Mode().IsRegular() {
		return errKeepsIt
	}
	if program.Interpreter(path) != "" {
		_, err := relayCommand()
		return err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return errKeepsIt
	}
	if info.Main.Path != module && !slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == module }) {
		return errKeepsIt
	}
	return nil
}

// handOut adds the new process's descriptors to those that it gets, and says so in
// its control value.
func (c *capture) handOut(l launch, control *controlInfo, files []int) (launch, []int) {
	if c == nil {
		return l, files
	}
	control.stderr = fd.First + len(files)
	control.pipe = control.stderr + 1
	control.pipeID = c.writeID
	l.stderr = c.write
	return l, append(files[:len(files):len(files)], c.real, c.read)
}

// handedOut closes what is the new process's.
func (c *capture) handedOut() {
	if c == nil {
		return
	}
	for _, s := range []*int{&c.write, &c.real, &c.read} {
		if *s >= 0 {
			_ = fd.Close(*s)
		}
		*s = -1
	}
}

// begin copies in a goroutine, until the new process has put its real stderr back or
// has ended.
func (c *capture) begin() {
	if c != nil {
		go c.copy()
	}
}

// abandon is for a process that could not be started.
func (c *capture) abandon() {
	if c != nil {
		_ = c.reader.Close()
	}
}

func (c *capture) copy() {
	defer close(c.copied)
	defer c.reader.Close()
	var out io.Writer = descriptor(fd.Stderr)
	b := make([]byte, captureChunk)
	held := 0 // the begin of a line, at the begin of b
	for room := captureRest; room > 0; {
		ended := c.ended.Load()
		if ended {
			_ = c.reader.SetReadDeadline(time.Now().Add(exitGrace))
		}
		n, err := c.reader.Read(b[held:])
		_, _ = c.Write(b[held : held+n])
		relayed := c.relayed.Load()
		whole := held + n
		if i := bytes.LastIndexByte(b, '\n'); whole == len(b) && i >= 0 && !relayed {
			whole = i + 1 // there is more: this process writes nothing of its own into a line
		}
		if _, werr := out.Write(b[:whole]); werr != nil {
			out = io.Discard // nobody takes it, and nobody is held up
		}
		held = copy(b, b[whole:held+n])
		if relayed {
			rerr := c.startRelay()
			if rerr == nil {
				return
			}
			c.log.Warn("the new process's stderr ends with this process", "error", rerr)
			c.relayed.Store(false)
			_ = c.reader.SetReadDeadline(time.Time{})
			if errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !ended && c.ended.Load() {
			continue // the time was over before this process came to read what is there
		}
		if err != nil {
			return
		}
		if ended {
			room -= n // what the process itself has left is at most what the pipe holds
		}
	}
}

// captureChunk is what is copied at once: it arrives in one piece (PIPE_BUF, pipe(7)),
// and no more than that is lost if this process is killed in the middle of it.
const captureChunk = 4096

// captureRest is as much as the pipe holds, at the most (pipe-max-size, pipe(7)).
const captureRest = 1 << 20

// end is for when the process has ended and was reaped, or has put its real stderr
// back: what there is of it is copied. Another process that it has started may have
// the pipe as its stderr, and is not waited for.
func (c *capture) end() {
	if c != nil {
		c.ended.Store(true)
		_ = c.reader.SetReadDeadline(time.Now().Add(exitGrace))
	}
}

// wait waits until it is copied, after end.
func (c *capture) wait() {
	if c == nil {
		return
	}
	select {
	case <-c.copied:
	case <-time.After(captureWait):
	}
}

// lines returns the last lines, after end.
func (c *capture) lines() []string {
	if c == nil {
		return nil
	}
	c.wait()
	return c.get()
}

// captureWait bounds the wait for copying what is left to a stderr that takes it
// slowly, or not at all.
const captureWait = 2 * time.Second

// relay is for a process that has taken over and does not know how to put its stderr
// back: another one copies for it from here on, however long it lives.
func (c *capture) relay() {
	if c != nil {
		c.relayed.Store(true)
		_ = c.reader.SetReadDeadline(time.Now())
	}
}
