//go:build unix

package core_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/proctest"
)

// answerPackets answers each datagram by itself and the number of this process, until there
// are no more.
func answerPackets(pc *core.PacketConn) {
	defer pc.Close()
	b := make([]byte, 1500)
	for {
		n, from, err := pc.ReadFrom(b[:1400])
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				panic(err)
			}
			return
		}
		if _, err := pc.WriteTo(binary.BigEndian.AppendUint32(b[:n], uint32(os.Getpid())), from); err != nil {
			panic(err)
		}
	}
}

// packetStream sends numbered datagrams at a rate, and counts the answers. No number is sent twice.
type packetStream struct {
	c    net.Conn
	quit chan struct{}
	done sync.WaitGroup

	sent    uint64
	late    uint64        // how often the window was full
	answers atomic.Uint64 // that have come, the twins among them

	mu       sync.Mutex
	answered map[uint64]bool // by number
	each     map[uint32]int  // how many by each process
	twins    int             // answers to what was answered before
}

// window is how many datagrams may be without an answer: a machine that stands still must not
// make the queue of a socket overflow (rmem_default, socket(7)).
const window = 150

func startStream(t *testing.T, c net.Conn, perMilli int) *packetStream {
	t.Helper()
	s := &packetStream{c: c, quit: make(chan struct{}), answered: map[uint64]bool{}, each: map[uint32]int{}}
	s.done.Go(func() { s.send(t, perMilli) })
	go s.receive()
	t.Cleanup(func() { c.Close() })
	return s
}

func (s *packetStream) send(t *testing.T, perMilli int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-s.quit:
			return
		case <-tick.C:
		}
		for due := uint64(time.Since(began).Seconds() * 1000 * float64(perMilli)); s.sent < due; {
			if s.sent-s.answers.Load() >= window {
				s.late++
				began = began.Add(time.Millisecond)
				break
			}
			if _, err := s.c.Write(binary.BigEndian.AppendUint64(nil, s.sent)); err != nil {
				t.Errorf("datagram %d: %v", s.sent, err)
				return
			}
			s.sent++
		}
	}
}

func (s *packetStream) receive() {
	var b [64]byte
	for {
		n, err := s.c.Read(b[:])
		if err != nil || n != 12 {
			return
		}
		number := binary.BigEndian.Uint64(b[:])
		s.mu.Lock()
		if s.answered[number] {
			s.twins++
		}
		s.answered[number] = true
		s.each[binary.BigEndian.Uint32(b[8:])]++
		s.mu.Unlock()
		s.answers.Add(1)
	}
}

// by is how many datagrams the process has answered.
func (s *packetStream) by(pid int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.each[uint32(pid)]
}

// await waits until the process has answered some more.
func (s *packetStream) await(t *testing.T, pid int) {
	t.Helper()
	proctest.Await(t, fmt.Sprintf("answers by process %d", pid), func() bool { return s.by(pid) > 500 })
}

// alone checks that old does not answer any more, though it may be on the way out for long.
func (s *packetStream) alone(t *testing.T, pid, old int) {
	t.Helper()
	before, from := s.by(old), s.by(pid)
	proctest.Await(t, "more answers", func() bool { return s.by(pid) >= from+1000 })
	if more := s.by(old) - before; more > window {
		t.Errorf("the old process has answered %d more", more)
	}
}

// stop waits for the answers to what was sent, and checks that each was answered once.
func (s *packetStream) stop(t *testing.T) map[uint32]int {
	t.Helper()
	close(s.quit)
	s.done.Wait()
	defer func(began time.Time) {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.Logf("%d datagrams, by %v, window full %d times, %v for the last answer", s.sent, s.each, s.late, time.Since(began))
	}(time.Now())
	proctest.Await(t, "an answer to each datagram", func() bool { return s.answers.Load() >= s.sent })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.twins > 0 || uint64(len(s.answered)) != s.sent {
		t.Errorf("%d datagrams, %d answered, %d of them again", s.sent, len(s.answered), s.twins)
	}
	return s.each
}

// dialPacket connects a datagram socket; one of its own path if it is a unixgram one.
func dialPacket(t *testing.T, a *app, network, addr string) net.Conn {
	t.Helper()
	var d net.Dialer
	if network == "unixgram" {
		d.LocalAddr = &net.UnixAddr{Net: network, Name: a.path(fmt.Sprintf("c%d", time.Now().UnixNano()))}
	}
	c, err := d.Dial(network, addr)
	must(t, err)
	if uc, ok := c.(*net.UDPConn); ok {
		_ = uc.SetReadBuffer(1 << 20)
	}
	return c
}

// TestPackets_AreAnsweredOnce counts the datagrams of two generations that read from the same socket.
func TestPackets_AreAnsweredOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		network string
		args    []string
		env     []string
		spoil   string // mode of a generation in between that is rolled back
	}{
		"udp":               {network: "udp"},
		"udp, on probation": {network: "udp", args: []string{"-probation", "300ms"}, spoil: "rejects"},
		"udp, supervised":   {network: "udp", env: []string{core.EnvMode + "=supervised"}},
		"unixgram":          {network: "unixgram", args: []string{"-probation", "100ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := map[string]string{"udp": "127.0.0.1:0", "unixgram": "gram"}[c.network]
			a, last := startEnv(t, c.env, append(c.args, "-packet", c.network+","+address)...)
			http, at := last.Addrs[0], last.Addrs[1]
			if c.network == "unixgram" {
				at = a.path(address)
			}
			s := startStream(t, dialPacket(t, a, c.network, at), 20)
			s.await(t, last.PID)
			const upgrades = 5
			for i := range upgrades {
				if i == upgrades-1 && c.spoil != "" { // the next version but one can take its time to be bad
					a.write("probation", "4m")
				}
				old := last
				last = a.next(old)
				s.await(t, last.PID)
				s.alone(t, last.PID, old.PID)
			}
			if c.spoil != "" {
				a.setMode(c.spoil)
				a.next(last)
				a.expectLog("serves again", 1)
				a.setMode("")
				last = a.next(last)
				s.await(t, last.PID)
			}
			if by := s.stop(t); len(by) < upgrades+1 {
				t.Errorf("answered by %d processes", len(by))
			}
			if l := getJSON[core.Ledger](t, http, "/stats"); l.Open.Sockets != 1 {
				t.Errorf("open: %v", l.Open)
			}
			if _, err := os.Lstat(at); err != nil && c.network == "unixgram" {
				t.Errorf("an upgrade has removed the path: %v", err)
			}
			a.stopAll(last.PID)
			if _, err := os.Lstat(at); err == nil && c.network == "unixgram" {
				t.Error("the path is left behind")
			}
		})
	}
}

// TestPackets_CrashTakesOnlyWhatWasRead kills a new process on probation. The old one reads on.
func TestPackets_CrashTakesOnlyWhatWasRead(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-probation", "4m", "-packet", "udp,127.0.0.1:0")
	a.signal(a.next(first).PID, syscall.SIGKILL)
	a.expectLog("serves again", 1)
	s := startStream(t, dialPacket(t, a, "udp", first.Addrs[1]), 1)
	proctest.Await(t, "20 answers", func() bool { return s.answers.Load() >= 20 })
	if by := s.stop(t); len(by) != 1 || by[uint32(first.PID)] == 0 {
		t.Errorf("answered by %v", by)
	}
}
