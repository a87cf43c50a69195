//go:build unix

package core

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// TestPacketConn: the calls of an Upgrader in this process.
func TestPacketConn(t *testing.T) {
	u := NewTest(t)
	pc, err := u.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	must(t, err)
	client, err := net.Dial("udp", pc.LocalAddr().String())
	must(t, err)
	defer client.Close()

	// Before Ready nothing is read, and a deadline holds.
	_, err = client.Write([]byte("early"))
	must(t, err)
	must(t, pc.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	b := make([]byte, 100)
	if _, _, err := pc.ReadFrom(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("before ready: %v", err)
	}
	must(t, pc.SetReadDeadline(time.Time{}))
	must(t, u.Ready())
	n, from, err := pc.ReadFromUDPAddrPort(b)
	if err != nil || string(b[:n]) != "early" {
		t.Fatalf("%q %v", b[:n], err)
	}

	// A deadline holds while nothing comes.
	must(t, pc.SetReadDeadline(time.Now().Add(time.Millisecond)))
	if _, _, err := pc.ReadFrom(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nothing came: %v", err)
	}
	must(t, pc.SetReadDeadline(time.Time{}))

	// A read that waits takes nothing once it is paused: what comes is the other process's.
	type result struct {
		what string
		err  error
	}
	results := make(chan result, 1)
	read := func() {
		b := make([]byte, 100)
		n, _, err := pc.ReadFrom(b)
		results <- result{string(b[:n]), err}
	}
	send := func(what string) {
		t.Helper()
		_, err := client.Write([]byte(what))
		must(t, err)
	}
	go read()
	time.Sleep(10 * time.Millisecond) // so that it waits in the socket; one that comes later waits before it
	pc.pause()
	other, err := fd.PacketConn(pc.dup)
	must(t, err)
	send("other")
	must(t, other.SetReadDeadline(time.Now().Add(patience)))
	if n, _, err := other.ReadFrom(b); err != nil || string(b[:n]) != "other" {
		t.Errorf("the other process reads %q %v", b[:n], err)
	}
	must(t, other.Close())
	pc.resume()
	send("again")
	if r := <-results; r.err != nil || r.what != "again" {
		t.Errorf("%+v", r)
	}

	// Paused, what comes waits; a deadline that is moved meanwhile holds.
	pc.pause()
	send("waits")
	go read()
	must(t, pc.SetReadDeadline(time.Now()))
	if r := <-results; !errors.Is(r.err, os.ErrDeadlineExceeded) {
		t.Errorf("while paused: %+v", r)
	}
	must(t, pc.SetDeadline(time.Time{}))
	go read()
	pc.resume()
	if r := <-results; r.err != nil || r.what != "waits" {
		t.Errorf("%+v", r)
	}
	if _, err := pc.WriteToUDPAddrPort([]byte("answer"), from); err != nil {
		t.Error(err)
	}

	// What is not UDP says so; an address in use, and a network that is none, too.
	path := filepath.Join(t.TempDir(), "gram")
	gram, err := u.ListenPacket(context.Background(), "unixgram", path)
	must(t, err)
	if _, _, err := gram.ReadFromUDPAddrPort(b); !errors.Is(err, syscall.ENOTSUP) {
		t.Error(err)
	}
	for want, open := range map[string]func() error{
		"stop it or choose another address": func() error {
			_, err := u.ListenPacket(context.Background(), "udp", pc.LocalAddr().String())
			return err
		},
		"the network must be udp":       func() error { _, err := u.ListenPacket(context.Background(), "tcp", ":0"); return err },
		"needs a path":                  func() error { _, err := u.ListenPacket(context.Background(), "unixgram", ""); return err },
		"another program listens there": func() error { _, err := u.ListenPacket(context.Background(), "unixgram", path); return err },
		"create it": func() error {
			_, err := u.ListenPacket(context.Background(), "unixgram", filepath.Dir(path)+"/x/y")
			return err
		},
		"file does not exist": func() error { _, err := u.PacketConn("udp", ":1"); return err },
	} {
		if err := open(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}

	// The drain ends the reads, lets the answers go out and waits for Close.
	go read()
	stopped := make(chan error, 1)
	go func() { stopped <- u.Stop(context.Background()) }()
	if r := <-results; !errors.Is(r.err, net.ErrClosed) {
		t.Errorf("while draining: %+v", r)
	}
	if _, err := pc.WriteToUDPAddrPort([]byte("late"), from); err != nil {
		t.Errorf("an answer while draining: %v", err)
	}
	must(t, gram.Close())
	select {
	case err := <-stopped:
		t.Errorf("the drain did not wait for Close: %v", err)
	default:
	}
	must(t, pc.Close())
	must(t, <-stopped)
	if err := pc.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the path is left behind: %v", err)
	}
}

// TestPacketCut: a socket that the program does not close is cut at the deadline, and counted.
func TestPacketCut(t *testing.T) {
	u := NewTest(t, WithDrainTimeout(0))
	pc, err := u.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	must(t, err)
	must(t, u.Ready())
	if err := u.Stop(context.Background()); !errors.Is(err, ErrCut) || !strings.Contains(err.Error(), "1 datagram socket") {
		t.Error(err)
	}
	if got := u.Status().Ledger.Cut.Sockets; got != 1 {
		t.Errorf("%d cut", got)
	}
	if err := pc.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
