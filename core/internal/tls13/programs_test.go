package tls13

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// envPrograms, if it is set, makes a missing program a failure.
const envPrograms = "CORE_TEST_TLS_PROGRAMS"

// tlsProgram is a TLS client of another project, in which a user types lines.
type tlsProgram struct {
	name, pkg string // pkg is Debian's
	suites    map[string]string
	args      func(addr, suite string) []string
	update    string // types a KeyUpdate
	both      string // types one that wants one in return
	updated   string // is said then
}

var programs = []tlsProgram{
	{
		"openssl", "openssl",
		map[string]string{
			"TLS_AES_128_GCM_SHA256": "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384": "TLS_AES_256_GCM_SHA384",
			"TLS_CHACHA20_POLY1305_SHA256": "TLS_CHACHA20_POLY1305_SHA256",
		},
		func(addr, suite string) []string {
			return []string{"s_client", "-connect", addr, "-tls1_3", "-ciphersuites", suite}
		},
		"k", "K", "KEYUPDATE",
	},
	{
		"gnutls-cli", "gnutls-bin",
		map[string]string{
			"TLS_AES_128_GCM_SHA256": "AES-128-GCM", "TLS_AES_256_GCM_SHA384": "AES-256-GCM",
			"TLS_CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
		},
		func(addr, suite string) []string {
			host, port, _ := net.SplitHostPort(addr)
			return []string{
				"--insecure", "--inline-commands", "--port", port, host,
				"--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+" + suite,
			}
		},
		"^rekey^", "^rekey1^", "Rekey was completed",
	},
}

// terminal is such a client that runs.
type terminal struct {
	tlsProgram
	t    testing.TB
	in   io.WriteCloser
	said *bufio.Scanner
	cmd  *exec.Cmd
}

// start starts one, and returns the connection that it opens.
func (p tlsProgram) start(t *testing.T, suite string) (*terminal, *First, net.Conn) {
	t.Helper()
	path, err := exec.LookPath(p.name)
	if err != nil && os.Getenv(envPrograms) == "" {
		t.Skipf("%v; on Debian, apt-get install %s", err, p.pkg)
	}
	must.Do(t, err)
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	c := &terminal{tlsProgram: p, t: t, cmd: exec.Command(path, p.args(ln.Addr().String(), p.suites[suite])...)}
	c.in = must.Get(c.cmd.StdinPipe())(t)
	out, w := io.Pipe()
	c.cmd.Stdout, c.cmd.Stderr = w, w
	c.said = bufio.NewScanner(out)
	must.Do(t, c.cmd.Start())
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = out.Close()
		_ = c.cmd.Wait()
	})
	must.Do(t, ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience)))
	nc := must.Get(ln.Accept())(t)
	t.Cleanup(func() { _ = nc.Close() })
	must.Do(t, nc.SetDeadline(time.Now().Add(patience)))
	first := Server(nc, Config(serverConfig()))
	must.Do(t, first.HandshakeContext(context.Background()))
	if got := tls.CipherSuiteName(first.ConnectionState().CipherSuite); got != suite {
		t.Fatalf("%s, want %s", got, suite)
	}
	return c, first, nc
}

// says types a line, and waits for an answer.
func (c *terminal) says(line, answer string) {
	c.t.Helper()
	must.Get(io.WriteString(c.in, line+"\n"))(c.t)
	c.until(answer)
}

func (c *terminal) until(answer string) {
	c.t.Helper()
	for c.said.Scan() {
		if strings.Contains(c.said.Text(), answer) {
			return
		}
	}
	c.t.Fatalf("no %q: %v", answer, c.said.Err())
}

// echoes has the server answer a line.
func (c *terminal) echoes(server movable, n int) {
	c.t.Helper()
	done := make(chan error, 1)
	go func() {
		line := fmt.Sprintf("word %d\n", n)
		got := make([]byte, len(line))
		_, err := io.ReadFull(server, got)
		if err == nil {
			_, err = server.Write([]byte("answer to " + string(got)))
		}
		done <- err
	}()
	c.says(fmt.Sprintf("word %d", n), fmt.Sprintf("answer to word %d", n))
	must.Do(c.t, <-done)
}

// TestPrograms: KeyUpdate, with and without one in return, between moves, and the end from either side.
func TestPrograms(t *testing.T) {
	t.Parallel()
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.moves(t, "TLS_AES_256_GCM_SHA384", false)
			p.moves(t, "TLS_AES_128_GCM_SHA256", true)
		})
	}
}

// moves moves a connection again and again. In the end the client leaves, or the server.
func (p tlsProgram) moves(t *testing.T, suite string, leaves bool) {
	c, first, nc := p.start(t, suite)
	server := movable(first)
	c.echoes(server, 0)
	for i, key := range []string{"", p.update, p.both, "", p.update, p.both} {
		if key != "" {
			c.says(key, p.updated)
		}
		if i%2 == 0 {
			server = move(t, server, nc)
		}
		c.echoes(server, i+1)
		server = move(t, server, nc)
		c.echoes(server, i+100)
	}
	if leaves {
		must.Do(t, c.in.Close())
	} else {
		must.Do(t, server.CloseWrite())
		c.until("closed")
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("Read = %v", err)
	}
	_, err := server.Write([]byte("good bye"))
	if (err == nil) != leaves {
		t.Errorf("Write = %v", err)
	}
	must.Do(t, server.Close())
	go func() {
		for c.said.Scan() {
		}
	}()
	must.Do(t, c.cmd.Wait())
}

// TestPrograms_Stay: with a KeyUpdate before the first move, and with ChaCha20-Poly1305.
func TestPrograms_Stay(t *testing.T) {
	t.Parallel()
	for _, p := range programs {
		for _, tt := range []struct {
			suite, key string
			why        Reason
		}{
			{"TLS_AES_256_GCM_SHA384", p.update, StaysKey},
			{"TLS_AES_256_GCM_SHA384", p.both, StaysKey},
			{"TLS_CHACHA20_POLY1305_SHA256", "", StaysSuite},
		} {
			t.Run(p.name+" "+tt.suite+tt.key, func(t *testing.T) {
				t.Parallel()
				c, first, _ := p.start(t, tt.suite)
				if tt.key != "" {
					c.says(tt.key, p.updated)
				}
				c.echoes(first, 1)
				expectStays(t, first, stays(tt.why))
				c.echoes(first, 2)
				must.Do(t, first.Close())
			})
		}
	}
}
