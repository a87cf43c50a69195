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

// sClient is an openssl s_client.
type sClient struct {
	t    testing.TB
	in   io.WriteCloser
	said *bufio.Scanner
	cmd  *exec.Cmd
}

// newSClient starts one, and returns the connection that it opens.
func newSClient(t *testing.T, suite string) (*sClient, *First, net.Conn) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil && os.Getenv("CORE_TEST_OPENSSL") == "" {
		t.Skipf("%v; on Debian, apt-get install openssl", err)
	}
	must.Do(t, err)
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	c := &sClient{t: t, cmd: exec.Command(path, "s_client", "-connect", ln.Addr().String(), "-tls1_3", "-ciphersuites", suite)}
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
func (c *sClient) says(line, answer string) {
	c.t.Helper()
	must.Get(io.WriteString(c.in, line+"\n"))(c.t)
	c.until(answer)
}

func (c *sClient) until(answer string) {
	c.t.Helper()
	for c.said.Scan() {
		if strings.Contains(c.said.Text(), answer) {
			return
		}
	}
	c.t.Fatalf("no %q: %v", answer, c.said.Err())
}

// echoes has the server answer a line.
func (c *sClient) echoes(server movable, n int) {
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

// TestOpenSSL: KeyUpdate, with (K) and without (k) one in return, between moves, and the end from either side.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		suite  string
		leaves bool // the client ends the connection
	}{
		{"TLS_AES_256_GCM_SHA384", false}, {"TLS_AES_128_GCM_SHA256", true},
	} {
		t.Run(tt.suite, func(t *testing.T) {
			t.Parallel()
			c, first, nc := newSClient(t, tt.suite)
			server := movable(first)
			c.echoes(server, 0)
			for i, key := range []string{"", "k", "K", "", "k", "K"} {
				if key != "" {
					c.says(key, "KEYUPDATE")
				}
				if i%2 == 0 {
					server = move(t, server, nc)
				}
				c.echoes(server, i+1)
				server = move(t, server, nc)
				c.echoes(server, i+100)
			}
			if !tt.leaves {
				must.Do(t, server.CloseWrite())
				c.until("closed")
			} else {
				must.Do(t, c.in.Close())
			}
			if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("Read = %v", err)
			}
			_, err := server.Write([]byte("good bye"))
			if (err == nil) != tt.leaves {
				t.Errorf("Write = %v", err)
			}
			must.Do(t, server.Close())
			go func() {
				for c.said.Scan() {
				}
			}()
			must.Do(t, c.cmd.Wait())
		})
	}
}

// TestOpenSSL_Stays: with a KeyUpdate before the first move, and with ChaCha20-Poly1305.
func TestOpenSSL_Stays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		suite, key string
		why        Reason
	}{
		{"TLS_AES_256_GCM_SHA384", "k", StaysKey},
		{"TLS_AES_256_GCM_SHA384", "K", StaysKey},
		{"TLS_CHACHA20_POLY1305_SHA256", "", StaysSuite},
	} {
		t.Run(tt.suite+tt.key, func(t *testing.T) {
			t.Parallel()
			c, first, _ := newSClient(t, tt.suite)
			if tt.key != "" {
				c.says(tt.key, "KEYUPDATE")
			}
			c.echoes(first, 1)
			expectStays(t, first, stays(tt.why))
			c.echoes(first, 2)
			must.Do(t, first.Close())
		})
	}
}
