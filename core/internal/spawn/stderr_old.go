package spawn

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/program"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Capture is the old process's end of a new one's stderr while that starts and is on probation: what
// comes through the pipe is copied to this process's stderr at once, and the last
// lines are kept for the error. See Stderr for the other end.
//
// A nil one does nothing: the new process has this one's stderr.
type Capture struct {
	tail
	log    *slog.Logger
	reader *os.File // closed by copy

	// The new process's; closed by HandedOut.
	write, real, read int
	writeID           uint64

	taken   atomic.Int64  // bytes that stderr has taken
	ended   atomic.Bool   // see End
	relayed atomic.Bool   // see Relay
	copied  chan struct{} // closed at the end of copy
}

// NewCapture makes the pipe for the stderr of the program at path. It returns nil, and
// says why to the debug log, where the program is better off with this process's own.
func NewCapture(path string, log *slog.Logger) *Capture {
	c, err := openCapture(path)
	if err != nil {
		log.Debug("the new process gets this one's stderr as it is", "error", err)
		return nil
	}
	c.log = log
	return c
}

func openCapture(path string) (c *Capture, err error) {
	if err := fd.CheckOutput(fd.Stderr); err != nil {
		return nil, err
	}
	if err := givesBack(path); err != nil {
		return nil, err
	}
	c = &Capture{write: -1, real: -1, read: -1, copied: make(chan struct{})}
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
		c.HandedOut()
		_ = c.reader.Close()
		return nil, err
	}
	return c, nil
}

var errKeepsIt = errors.New("the program is not known to put its stderr back")

// givesBack returns an error if the program at path, once ready, can't be expected to put its real stderr
// back. A script may turn out to run such a program, and then there must be a relay.
func givesBack(path string) error {
	if fi, err := os.Stat(path); err != nil || !fi.Mode().IsRegular() {
		return errKeepsIt
	}
	if program.Interpreter(path) != "" {
		_, err := relayCommand()
		return err
	}
	if !OnGracex(path) {
		return errKeepsIt
	}
	return nil
}

// HandOut adds the new process's descriptors to those that it gets, and says so in its control value.
func (c *Capture) HandOut(l Launch, control *wire.HandoverInfo, files []int) (Launch, []int) {
	if c == nil {
		return l, files
	}
	control.Stderr = fd.First + len(files)
	control.Pipe = control.Stderr + 1
	control.PipeID = c.writeID
	l.stderr = c.write
	return l, append(files[:len(files):len(files)], c.real, c.read)
}

// HandedOut closes the descriptors that are the new process's.
func (c *Capture) HandedOut() {
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

// Begin copies in a goroutine, until the new process has put its real stderr back or has ended.
func (c *Capture) Begin() {
	if c != nil {
		go c.copy()
	}
}

// Abandon is for a process that could not be started.
func (c *Capture) Abandon() {
	if c != nil {
		_ = c.reader.Close()
	}
}

func (c *Capture) copy() {
	defer close(c.copied)
	defer c.reader.Close()
	var out io.Writer = descriptor(fd.Stderr)
	b := make([]byte, captureChunk)
	held := 0 // the begin of a line, at the begin of b
	over := false
	for room := captureRest; room > 0; {
		ended := c.ended.Load()
		if ended && !over {
			over, room = true, c.rest()
			continue
		}
		if ended {
			_ = c.reader.SetReadDeadline(time.Now().Add(timing.Exit))
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
		c.taken.Add(int64(whole))
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
			room -= n
		}
	}
	_, _ = out.Write(b[:held])
}

// rest is what the process itself has left: what waits in the pipe now. What others write there after it is theirs.
func (c *Capture) rest() int {
	rc, err := c.reader.SyscallConn()
	if err != nil {
		return 0
	}
	if n, known := fd.Unread(rc); known {
		return min(n, captureRest)
	}
	return captureRest
}

// captureChunk is what is copied at once: it arrives in one piece (PIPE_BUF, pipe(7)),
// and no more than that is lost if this process is killed in the middle of it.
const captureChunk = 4096

// captureRest is as much as the pipe holds, at the most (pipe-max-size, pipe(7)).
const captureRest = 1 << 20

// End is for when the process has ended and was reaped, or has put its real stderr back: what there is of it
// is copied. Another process that it has started may have the pipe as its stderr, and is not waited for.
func (c *Capture) End() {
	if c != nil {
		c.ended.Store(true)
		_ = c.reader.SetReadDeadline(time.Now().Add(timing.Exit))
	}
}

// Wait waits until it is copied, after End, for a process that is about to end: what it has read and not written ends
// with it. It does not wait for longer than limit, nor for a stderr that takes nothing for captureWait.
func (c *Capture) Wait(limit time.Duration) {
	if c == nil {
		return
	}
	late := time.After(limit)
	for taken := c.taken.Load(); ; {
		select {
		case <-c.copied:
			return
		case <-late:
			return
		case <-time.After(captureWait):
		}
		now := c.taken.Load()
		if now == taken {
			return
		}
		taken = now
	}
}

// LastLines returns the last lines of a process that has ended.
func (c *Capture) LastLines() []string {
	if c == nil {
		return nil
	}
	c.End()
	select {
	case <-c.copied:
	case <-time.After(captureWait):
	}
	return c.tail.get()
}

// Lines returns the last lines so far.
func (c *Capture) Lines() []string {
	if c == nil {
		return nil
	}
	return c.tail.get()
}

// captureWait is how long a stderr that takes nothing is waited for, and the last lines by a process that goes on.
const captureWait = 2 * time.Second

// Relay is for a process that has taken over and does not know how to put its stderr
// back: another one copies for it from here on, however long it lives.
func (c *Capture) Relay() {
	if c != nil {
		c.relayed.Store(true)
		_ = c.reader.SetReadDeadline(time.Now())
	}
}
