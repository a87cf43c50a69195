package deploytest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// Patience bounds every wait. Nothing that works comes near it.
const Patience = 30 * time.Second

// Build builds the program pkg, an import path, as the file path.
func Build(t *testing.T, pkg, path string) {
	t.Helper()
	if out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
}

// Example is the import path of the program that is deployed.
const Example = "github.com/gracex-go/gracex/examples/nethttp"

// Command is the import path of the operator's command.
const Command = "github.com/gracex-go/gracex/cmd/gracex"

// given are the addresses of FreeAddr.
var given sync.Map

// FreeAddr is an address on which nobody listens, and nobody is going to: the loopback address is this process's
// own. All other tests listen on 127.0.0.1, and it takes a while until the program does.
func FreeAddr(t *testing.T) string {
	t.Helper()
	pid := os.Getpid()
	for {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+pid>>16&0x7f, pid>>8&0xff, pid&0xff))
		if err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().String()
		ln.Close()
		if _, taken := given.LoadOrStore(addr, true); !taken {
			return addr
		}
	}
}

// Await waits until f reports true.
func Await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for late := time.Now().Add(Patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("not in %v: %s", Patience, what)
		}
	}
}

// Answer is what the example said.
type Answer struct {
	Status          int
	Body            string
	PID, Generation string // who answered, of the headers X-Pid and X-Generation
}

// Post posts the body over a connection of its own. It asks once.
func Post(addr, target, body string) (Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+target, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return Answer{}, err
	}
	return answerOf(resp, body)
}

// answerOf reads the answer to the body.
func answerOf(resp *http.Response, body string) (Answer, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{resp.StatusCode, string(b), resp.Header.Get("X-Pid"), resp.Header.Get("X-Generation")}
	if a.Status != http.StatusOK || a.Body != body {
		err = errors.New("it is no echo: " + resp.Status + " " + a.Body)
	}
	return a, err
}

// MustPost is Post where the answer has to be right.
func MustPost(t *testing.T, addr, target, body string) Answer {
	t.Helper()
	a, err := Post(addr, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Hold has a request under way that takes the duration d. The function it returns waits
// for the answer.
func Hold(t *testing.T, addr, d string) (answer func() (Answer, error)) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(Patience))
	const body = "held"
	_, err = fmt.Fprintf(c, "POST /?d=%s HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", d, addr, len(body))
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	// It is asked for the body when the handler reads that.
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("no 100 Continue: %v", err)
	}
	_ = resp.Body.Close() // it has none
	if resp.StatusCode != http.StatusContinue {
		t.Fatalf("%s instead of 100 Continue", resp.Status)
	}
	if _, err := io.WriteString(c, body); err != nil {
		t.Fatal(err)
	}
	return func() (Answer, error) {
		defer c.Close()
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return Answer{}, err
		}
		return answerOf(resp, body)
	}
}

// Load starts clients that keep their connections and others that don't. None retries.
func Load(t *testing.T, addr string) *load.Run {
	run := load.Start(load.Config{Addr: addr, Clients: 8, Fresh: 4, Think: 2 * time.Millisecond, Timeout: Patience})
	t.Cleanup(func() { run.Stop() })
	return run
}

// AwaitGeneration waits until the generation has answered a client.
func AwaitGeneration(t *testing.T, run *load.Run, generation string) {
	t.Helper()
	Await(t, "generation "+generation+" serves", func() bool {
		for who := range run.Snapshot().Served {
			if who.Generation == generation {
				return true
			}
		}
		return false
	})
}

// StopLoad checks that no request was lost.
func StopLoad(t *testing.T, run *load.Run) {
	t.Helper()
	r := run.Stop()
	t.Log(r)
	if r.Failed != 0 || r.Requests == 0 {
		t.Errorf("%d of %d requests failed", r.Failed, r.Requests)
	}
}
