package spawn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/program"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Doorbell is the one descriptor that a program on gracex inherits, and the other end of it. What the program is
// started with comes through it: a descriptor that a program inherits can't be close-on-exec, so a process that
// an earlier package has started would have it too, and keep a port open. Of a doorbell it has one that is dead.
type Doorbell struct {
	ours *net.UnixConn // closed when all is passed
	end  int           // what the new process inherits; open until Close
	once sync.Once     // see Close
}

// NewDoorbell makes one.
func NewDoorbell() (*Doorbell, error) {
	c, end, err := fd.Pair()
	if err != nil {
		return nil, err
	}
	return &Doorbell{ours: c.(*net.UnixConn), end: end}, nil
}

// End is the descriptor for the new process. It stays the doorbell's.
func (d *Doorbell) End() int { return d.end }

// Assignment is the variable by which a process knows the doorbell that it has as descriptor s.
func (d *Doorbell) Assignment(s int) string {
	return wire.EnvDoorbell + "=" + wire.LinkInfo{Version: wire.Version, Descriptor: s, PID: os.Getpid()}.String()
}

// Pass passes the descriptors on, to the process that msg is for: a child of this one, which is not started yet, if it
// names none. They stay the caller's.
func (d *Doorbell) Pass(msg wire.PassMsg, files []int) error {
	defer func() { _ = d.ours.Close() }()
	_ = d.ours.SetWriteDeadline(time.Now().Add(timing.Word))
	msg.Files = len(files)
	for len(files) > fd.MaxFiles {
		if err := d.say(wire.PassMsg{To: msg.To, More: true}, files[:fd.MaxFiles]); err != nil {
			return err
		}
		files = files[fd.MaxFiles:]
	}
	return d.say(msg, files)
}

func (d *Doorbell) say(msg wire.PassMsg, files []int) error {
	b, err := wire.Append(nil, wire.Pass, msg)
	if err == nil {
		err = fd.Send(d.ours, b, files)
	}
	return err
}

// Close is for when the new process has answered, or has ended. Descriptors that wait in the socket would stay open
// as long as a process that it has started.
func (d *Doorbell) Close() {
	if d == nil {
		return
	}
	d.once.Do(func() {
		_ = d.ours.Close()
		if c, err := fd.UnixConn(d.end); err == nil {
			_, _ = io.Copy(io.Discard, c) // to its end; a read without room for descriptors drops them
			_ = c.Close()
		}
	})
}

// Passed is what has come through a doorbell.
type Passed struct {
	wire.PassMsg
	List []int // the descriptors, close-on-exec
}

// At returns what is descriptor n for a process that inherits all.
func (p *Passed) At(n int) int { return p.List[n-fd.First] }

// Has reports whether there is one.
func (p *Passed) Has(n int) bool { return n >= fd.First && n < fd.First+len(p.List) }

// Answer takes what waits behind the doorbell that v, the value of wire.EnvDoorbell, names. It returns nil if that is
// another process's: the variable and the descriptor may have come from one that got them itself.
func Answer(v string) (*Passed, error) {
	info, err := wire.ParseDoorbell(v)
	if err != nil {
		return nil, err
	}
	if fd.CheckStream(info.Descriptor) != nil {
		return nil, nil
	}
	// gVisor names the process that asks.
	if maker, err := fd.Maker(info.Descriptor); err == nil && maker.PID != info.PID && maker.PID != os.Getpid() {
		return nil, nil
	}
	fd.CloseOnExec(info.Descriptor)
	c, err := fd.UnixConn(info.Descriptor)
	if err != nil {
		return nil, nil // a socket, but none of these
	}
	defer func() { _ = c.Close() }()
	child := proc.StartedBy == info.PID
	if mine, err := isFor(c, os.Getpid(), child || isOrphan(info.PID, v)); !mine {
		if !child {
			return nil, nil
		}
		return nil, fmt.Errorf("%s=%q: %w", wire.EnvDoorbell, v, err)
	}
	p := &Passed{}
	if err := p.receive(c); err != nil {
		for _, s := range p.List {
			_ = fd.Close(s)
		}
		return nil, fmt.Errorf("%s=%q: %w", wire.EnvDoorbell, v, err)
	}
	return p, nil
}

var (
	errNobodyThere = errors.New("the process that has started this one has ended, or has given it up")
	errNotForIt    = errors.New("what waits there is another process's")
)

// isOrphan reports whether the process that has made the doorbell was killed when this one, its child, was not
// initialized yet. A process that an earlier package has started is no child of it: its parent has the same doorbell.
func isOrphan(maker int, v string) bool {
	return !proc.Alive(maker) && proc.ShowsPrograms && !proc.StartedWith(proc.StartedBy, wire.EnvDoorbell+"="+v)
}

// isFor waits for the first frame, and looks whether it is for the process with this number: it names it, or none, and
// the process is the child that it was made for. The frame and its descriptors stay where they are.
func isFor(c *net.UnixConn, pid int, child bool) (bool, error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return false, err
	}
	_ = c.SetReadDeadline(time.Now().Add(timing.Word))
	n, err := fd.Await(rc)
	_ = c.SetReadDeadline(time.Time{})
	if err != nil {
		return false, err
	}
	if n == 0 {
		return false, errNobodyThere
	}
	var waits []byte
	if err := rc.Control(func(s uintptr) { waits = fd.Peek(int(s), maxPass) }); err != nil {
		return false, err
	}
	msg, err := readPass(bytes.NewReader(waits))
	if err == nil && msg.To != pid && !(msg.To == 0 && child) {
		err = errNotForIt
	}
	return err == nil, err
}

// maxPass is more than a frame on a doorbell takes, in bytes: a path has 4096 at most (PATH_MAX, Linux).
const maxPass = 16 << 10

func readPass(r io.Reader) (msg wire.PassMsg, err error) {
	f, err := wire.Read(r)
	if err == nil && f.Type != wire.Pass {
		err = fmt.Errorf("%w: %v instead of pass", wire.ErrGarbage, f.Type)
	}
	if err == nil {
		err = f.Decode(&msg)
	}
	return msg, err
}

// receive takes all frames.
func (p *Passed) receive(c *net.UnixConn) (err error) {
	_ = c.SetReadDeadline(time.Now().Add(timing.Word))
	for r := fd.NewReceiver(c); ; {
		p.PassMsg, err = readPass(r)
		p.List = append(p.List, r.Take()...)
		if err != nil {
			return err
		}
		if !p.More {
			break
		}
	}
	if len(p.List) != p.Files {
		return fmt.Errorf("%d of %d descriptors have come; %s", len(p.List), p.Files, program.MoreFiles)
	}
	return nil
}
