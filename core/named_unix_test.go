//go:build unix

package core_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
)

func init() { programs["keeper"] = playKeeper }

// passed returns what the generation before has passed on by this name, or opens and adds it.
func passed[T any](name string, get func(string) (T, error), open func() (T, error), add func(string, T) error) T {
	x, err := get(name)
	if errors.Is(err, fs.ErrNotExist) {
		if x, err = open(); err == nil {
			err = add(name, x)
		}
	}
	if err != nil {
		panic(err)
	}
	return x
}

// playKeeper passes on a listener with options of its own, a connection and a file: the first generation opens
// them, and all write into them.
func playKeeper() {
	var conn net.Conn
	var file *os.File
	log := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})
	err := core.Run(func(u *core.Upgrader) error {
		address := "127.0.0.1:0"
		if b, err := os.ReadFile("own"); err == nil {
			address = string(b)
		}
		file = passed("log", u.File, func() (*os.File, error) {
			return os.OpenFile("log", os.O_CREATE|os.O_WRONLY, 0o600)
		}, u.AddFile)
		conn = passed("up", u.Conn, func() (net.Conn, error) {
			return net.Dial("tcp", os.Getenv("UPSTREAM"))
		}, u.AddConn)
		ln := passed("own", func(string) (net.Listener, error) {
			return u.Listener("tcp", address)
		}, func() (net.Listener, error) {
			lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
				return rc.Control(func(s uintptr) {
					_ = syscall.SetsockoptInt(int(s), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 100_000)
				})
			}}
			ln, err := lc.Listen(context.Background(), "tcp", address)
			if err != nil {
				return nil, err
			}
			return u.AddListener(ln)
		}, func(name string, ln net.Listener) error {
			return os.WriteFile(name, []byte(ln.Addr().String()), 0o600)
		})
		if err := u.Attach(&http.Server{Handler: appHandler(u)}, ln); err != nil {
			return err
		}
		if mode() == "drop" {
			u.DropConn("up")
			u.DropFile("log")
		}
		go func() {
			fmt.Fprintf(conn, "generation %d\n", core.Generation())
			fmt.Fprintf(file, "generation %d\n", core.Generation())
			if u.Ready() == nil {
				emit(event{Event: "ready", Gen: core.Generation(), Addrs: []string{ln.Addr().String()}})
			}
		}()
		return nil
	}, core.WithProbation(0), core.WithLogger(slog.New(log)))
	end := event{Event: "end", Gen: core.Generation()}
	if err != nil {
		end.Err = err.Error()
	}
	emit(end)
}

// TestNamed_GoesOnUntilDropped passes on a listener of the program's own, a connection and a file.
func TestNamed_GoesOnUntilDropped(t *testing.T) {
	t.Parallel()
	for _, m := range []core.Mode{core.ModeSelf, core.ModeSupervised} {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			up, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			defer up.Close()
			a := installed(t)
			a.env = []string{"UPSTREAM=" + up.Addr().String(), core.EnvMode + "=" + m.String()}
			a.start("keeper", "./app")
			c, err := up.Accept()
			must(t, err)
			defer c.Close()
			lines := bufio.NewScanner(c)
			expect := func(generation int) event {
				t.Helper()
				ev := a.expect("ready", generation)
				if want := fmt.Sprint("generation ", generation); !lines.Scan() || lines.Text() != want {
					t.Fatalf("%q %v, want %q", lines.Text(), lines.Err(), want)
				}
				return ev
			}
			last := expect(0)
			own := last.Addrs[0]
			for i := range 3 {
				sig := syscall.SIGUSR2
				if i == 2 && m == core.ModeSupervised { // a crash: the supervisor has all of it
					a.expect("end", i-1) // else the one before would serve again
					sig = syscall.SIGKILL
				}
				a.signal(last.PID, sig)
				last = expect(i + 1)
			}
			a.setMode("drop")
			a.signal(last.PID, syscall.SIGUSR2)
			last = expect(4)
			a.setMode("")
			last = a.next(last)
			if last.Addrs[0] != own {
				t.Errorf("listens on %v, want %s", last.Addrs, own)
			}
			again, err := up.Accept() // it had none, and has opened a new one
			must(t, err)
			defer again.Close()
			if lines.Scan() {
				t.Errorf("the connection that was dropped says %q", lines.Text())
			}
			b, err := os.ReadFile(a.path("log"))
			must(t, err)
			if got := strings.Count(string(b), "generation"); got < 5 {
				t.Errorf("the file has %q", b)
			}
			a.stopAll(last.PID)
		})
	}
}
