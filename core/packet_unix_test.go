//go:build unix

package core_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
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

	mu   sync.Mutex
	by   map[uint64]uint32 // who answered
	each map[uint32]int    // how many each
	twin []uint64          // answered again
}

// window is how many datagrams may be without an answer: a machine that stands still must not
// make the queue of a socket overflow (rmem_default, socket(7)).
const window = 150

func startStream(t *testing.T, c net.Conn, perMilli int) *packetStream {
	t.Helper()
	s := &packetStream{c: c, quit: make(chan struct{}), by: make(map[uint64]uint32), each: make(map[uint32]int)}
	s.done.Go(func() { s.send(t, perMilli) })
	go s.receive()
	t.Cleanup(func() { c.Close() })
	return s
}

func (s *packetStream) send(t *testing.T, perMilli int) {
	var b [16]byte
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
			binary.BigEndian.PutUint64(b[:], s.sent)
			if _, err := s.c.Write(b[:8]); err != nil {
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
		number, by := binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint32(b[8:])
		s.mu.Lock()
		if _, twice := s.by[number]; twice {
			s.twin = append(s.twin, number)
		}
		s.by[number] = by
		s.each[by]++
		s.mu.Unlock()
		s.answers.Add(1)
	}
}

// await waits until the process has answered some more.
func (s *packetStream) await(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		n := s.each[uint32(pid)]
		s.mu.Unlock()
		if n > 500 {
			return
		}
	}
	t.Fatalf("process %d does not answer", pid)
}

// alone checks that old does not answer any more, though it may be on the way out for long.
func (s *packetStream) alone(t *testing.T, pid, old int) {
	t.Helper()
	count := func(pid int) int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.each[uint32(pid)]
	}
	before, from := count(old), count(pid)
	for end := time.Now().Add(patience); count(pid) < from+1000 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if more := count(old) - before; more > window {
		t.Errorf("the old process has answered %d more", more)
	}
}

// stop waits for the answers to what was sent, and checks that each was answered once.
func (s *packetStream) stop(t *testing.T) map[uint32]int {
	t.Helper()
	close(s.quit)
	s.done.Wait()
	for end := time.Now().Add(patience); s.answers.Load() < s.sent && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.twin) > 0 || uint64(len(s.by)) != s.sent {
		t.Errorf("%d datagrams, %d answered, %d of them twice", s.sent, len(s.by), len(s.twin))
	}
	return s.each
}

// dialPacket connects a datagram socket; one of its own path if it is a unixgram one.
func dialPacket(t *testing.T, a *app, network, addr string) net.Conn {
	t.Helper()
	if network == "unixgram" {
		local := &net.UnixAddr{Net: network, Name: filepath.Join(a.dir, fmt.Sprintf("c%d", time.Now().UnixNano()))}
		c, err := net.DialUnix(network, local, &net.UnixAddr{Net: network, Name: addr})
		must(t, err)
		return c
	}
	c, err := net.Dial(network, addr)
	must(t, err)
	_ = c.(*net.UDPConn).SetReadBuffer(1 << 20)
	return c
}

// TestPackets: no datagram is lost between two generations that read from the same socket, and
// none is answered twice: with probation and without, through a rollback, and in the supervised mode.
func TestPackets(t *testing.T) {
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
			a := prepare(t)
			a.env = c.env
			install(t, filepath.Join(a.dir, "app"))
			address := "127.0.0.1:0"
			if c.network == "unixgram" {
				address = filepath.Join(a.dir, "gram")
			}
			a.start("app", "./app", append(c.args, "-packet", c.network+","+address)...)
			first := a.expect("ready", 0)
			http, at := first.Addrs[0], first.Addrs[1]
			s := startStream(t, dialPacket(t, a, c.network, at), 20)
			s.await(t, first.PID)
			const upgrades = 5
			last := first
			for i := range upgrades {
				if i == upgrades-1 && c.spoil != "" { // the next version but one can take its time to be bad
					must(t, os.WriteFile(filepath.Join(a.dir, "probation"), []byte("4m"), 0o644))
				}
				a.signal(last.PID, syscall.SIGUSR2)
				old := last
				last = a.expect("ready", i+1)
				s.await(t, last.PID)
				s.alone(t, last.PID, old.PID)
			}
			if c.spoil != "" {
				a.setMode(c.spoil)
				a.signal(last.PID, syscall.SIGUSR2)
				a.expect("ready", upgrades+1)
				a.expectLog("serves again", 1)
				a.setMode("")
				a.signal(last.PID, syscall.SIGUSR2)
				last = a.expect("ready", upgrades+2)
				s.await(t, last.PID)
			}
			began := time.Now()
			by := s.stop(t)
			t.Logf("%d datagrams, by %v, window full %d times, %v for the last answer", s.sent, by, s.late, time.Since(began))
			if len(by) < upgrades+1 {
				t.Errorf("answered by %d processes", len(by))
			}
			if l := getJSON[core.Ledger](t, http, "/stats"); l.Open.Sockets != 1 {
				t.Errorf("open: %v", l.Open)
			}
			if c.network == "unixgram" {
				if _, err := os.Lstat(at); err != nil {
					t.Errorf("an upgrade has removed the path: %v", err)
				}
			}
			a.signal(last.PID, syscall.SIGTERM)
			a.expectGone()
			if c.network == "unixgram" {
				if _, err := os.Lstat(at); !os.IsNotExist(err) {
					t.Errorf("the path is left behind: %v", err)
				}
			}
		})
	}
}

// TestPacketCrash: a new process that dies on probation took at most what it had read with it, and
// the old one reads on.
func TestPacketCrash(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", "4m", "-packet", "udp,127.0.0.1:0")
	first := a.expect("ready", 0)
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	a.signal(second.PID, syscall.SIGKILL)
	a.expectLog("serves again", 1)
	s := startStream(t, dialPacket(t, a, "udp", first.Addrs[1]), 1)
	for end := time.Now().Add(patience); s.answers.Load() < 20 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if by := s.stop(t); len(by) != 1 || by[uint32(first.PID)] == 0 {
		t.Errorf("answered by %v", by)
	}
}
