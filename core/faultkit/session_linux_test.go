package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// pair is a connected pair of unix sockets.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	c, s, err := fd.Pair()
	if err != nil {
		t.Fatal(err)
	}
	d, err := fd.Conn(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); d.Close() })
	return c.(*net.UnixConn), d.(*net.UnixConn)
}

// TestRelay: what the new process hears, with the descriptor that comes along, is what the experiment has ordered.
func TestRelay(t *testing.T) {
	t.Parallel()
	frame, err := wire.Append(nil, wire.Offer, wire.OfferMsg{Conns: []wire.Conn{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	for do, want := range map[action][]byte{
		doGo:       frame,
		doTruncate: frame[:len(frame)/2],
		doGarbage:  bytes.Repeat([]byte("?"), len(frame)),
		doCut:      nil,
	} {
		t.Run(string(do), func(t *testing.T) {
			t.Parallel()
			d, err := openDesk(filepath.Join(t.TempDir(), linkName))
			if err != nil {
				t.Fatal(err)
			}
			d.arm(stepOffer, 0)
			oldEnd, outer := pair(t)
			inner, newEnd := pair(t)
			s := d.add(&session{outer: outer, inner: inner})
			done := make(chan struct{})
			go func() { defer close(done); s.relay("old", outer, inner) }()

			if err := fd.Send(oldEnd, frame, []int{int(os.Stdin.Fd())}); err != nil {
				t.Fatal(err)
			}
			if <-d.reached != s {
				t.Fatal("another session stands still")
			}
			_ = newEnd.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := newEnd.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("it was passed on without an order: %v", err)
			}
			s.let(do)
			_ = newEnd.SetReadDeadline(time.Now().Add(20 * time.Second))
			in := fd.NewReceiver(newEnd)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%q, %v, not %q", got, err, want)
			}
			files := in.Take()
			if (len(files) == 1) != (do != doCut) {
				t.Errorf("%d descriptors", len(files))
			}
			closeAll(files)
			oldEnd.Close()
			<-done
			if n, err := in.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Errorf("it goes on: %d, %v", n, err)
			}
			d.shut()
		})
	}
}
