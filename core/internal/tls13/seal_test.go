package tls13

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// guarded is a process's descriptor. Nothing may be written to it while its connection is sealed, or when it has moved.
type guarded struct {
	*pipe
	t      testing.TB
	shut   atomic.Bool
	closed atomic.Bool
	tap    func(b []byte) // or nil
}

func (g *guarded) Write(b []byte) (int, error) {
	if g.shut.Load() {
		g.t.Errorf("%d bytes are written while the other process may write", len(b))
	}
	if g.tap != nil {
		g.tap(b)
	}
	return g.pipe.Write(b)
}

// Close closes the descriptor, and not the connection, which the other process has open.
func (g *guarded) Close() error {
	if g.closed.Swap(true) {
		return net.ErrClosed
	}
	return nil
}

// kinds makes a First and a Conn over a guarded descriptor.
func kinds(t *testing.T, f func(t *testing.T, g *guarded, server movable, client *tls.Conn, far *pipe, there *half)) {
	t.Helper()
	for _, kind := range []string{"First", "Conn"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			near, far := pipes()
			g := &guarded{pipe: near, t: t}
			first, client, log := shakeKnown(t, g, far)
			server := movable(first)
			if kind == "Conn" {
				server = move(t, first, g)
			}
			there, _ := log.halves(t)
			f(t, g, server, client, far, there)
		})
	}
}

// catch gives code that does not wait the time to be caught.
func catch() { time.Sleep(20 * time.Millisecond) }

// TestSealed_IsSilent: nothing that is done with a sealed connection writes, also what encrypts by itself; and when the
// other process has refused it, all that goes out.
func TestSealed_IsSilent(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, g *guarded, server movable, client *tls.Conn, far *pipe, there *half) {
		sealed := seal(t, server)
		g.shut.Store(true)
		if c, ok := server.(*Conn); ok && c.out.half != nil {
			t.Error("it can encrypt")
		}
		if _, err := server.Seal(); !errors.Is(err, ErrBusy) {
			t.Errorf("a second Seal = %v", err)
		}
		// The answer to a KeyUpdate, and to what is none.
		must.Get(far.Write(there.seal(nil, typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, 1})))(t)
		must.Do(t, there.next())
		must.Get(far.Write(there.seal(nil, typeData, []byte("x"))))(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := server.Write([]byte("late")); err != nil {
				t.Errorf("Write = %v", err)
			}
		})
		wg.Go(func() {
			b := make([]byte, 1)
			if _, err := io.ReadFull(server, b); err != nil || b[0] != 'x' {
				t.Errorf("Read = %q, %v", b, err)
			}
		})
		if f, ok := server.(*First); ok {
			wg.Go(func() { _, _ = f.TLS().Write([]byte("by another way")) })
		}
		catch()
		g.shut.Store(false)
		sealed.Refused()
		sealed.Gone() // the first word counts
		wg.Wait()
		must.Do(t, server.CloseWrite())
		b := must.Get(io.ReadAll(client))(t)
		if !strings.Contains(string(b), "late") {
			t.Errorf("the client has read %q", b)
		}
		must.Do(t, server.Close())
	})
}

// TestSealed_Gone: nothing is ever written again, and nothing read.
func TestSealed_Gone(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, g *guarded, server movable, client *tls.Conn, _ *pipe, _ *half) {
		must.Get(client.Write([]byte("for the other process")))(t)
		var out *half
		if c, ok := server.(*Conn); ok {
			out = c.out.half
		}
		sealed := seal(t, server)
		next := must.Get(Adopt(&guarded{pipe: g.pipe, t: t}, sealed.State()))(t).Taken()
		g.shut.Store(true)
		state := sealed.State()
		wrote := make(chan error, 1)
		go func() {
			_, err := server.Write([]byte("late"))
			wrote <- err
		}()
		catch()
		sealed.Gone()
		sealed.Refused()
		if slices.ContainsFunc(state, func(b byte) bool { return b != 0 }) || sealed.State() != nil {
			t.Error("the state is not cleared")
		}
		if err := <-wrote; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write = %v", err)
		}
		if n, err := server.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("Read = %d, %v", n, err)
		}
		if _, err := server.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write = %v", err)
		}
		_ = server.CloseWrite()
		if f, ok := server.(*First); ok {
			_, _ = f.TLS().Write([]byte("by another way"))
			_ = f.TLS().CloseWrite()
			if *f.low.told != (told{}) {
				t.Error("the secrets are kept")
			}
		} else if c := server.(*Conn); c.in.half.secret != [maxSecret]byte{} || c.out.half != nil || out.secret != [maxSecret]byte{} {
			t.Error("the secrets are kept")
		}
		expectStays(t, server, stays(StaysClosing))
		must.Do(t, server.Close())
		say(t, next, client, []byte("hello"))
		b := make([]byte, 21)
		must.Get(io.ReadFull(next, b))(t)
	})
}

// TestSealed_Close: it does not wait, says nothing, and a connection that comes back is closed.
func TestSealed_Close(t *testing.T) {
	t.Parallel()
	for _, refused := range []bool{true, false} {
		t.Run(fmt.Sprint("refused ", refused), func(t *testing.T) {
			t.Parallel()
			kinds(t, func(t *testing.T, g *guarded, server movable, _ *tls.Conn, _ *pipe, _ *half) {
				sealed := seal(t, server)
				g.shut.Store(true)
				must.Do(t, server.Close())
				if err := server.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Close = %v", err)
				}
				if !g.closed.Load() {
					t.Error("the descriptor is open")
				}
				if refused {
					sealed.Refused()
				} else {
					sealed.Gone()
				}
				if _, err := server.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Write = %v", err)
				}
				if _, err := server.Read(make([]byte, 1)); err == nil {
					t.Error("it is read")
				}
				if c, ok := server.(*Conn); ok && (c.out.half != nil || c.in.half.secret != [maxSecret]byte{}) {
					t.Error("the secrets are kept")
				}
			})
		})
	}
}

// TestArrived_Drop clears the secrets, and writes nothing: the process before goes on.
func TestArrived_Drop(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, g *guarded, server movable, client *tls.Conn, _ *pipe, _ *half) {
		sealed := seal(t, server)
		g.shut.Store(true)
		a := must.Get(Adopt(g, sealed.State()))(t)
		in, out := a.conn.in.half, a.conn.out.half
		if a.ConnectionState().ServerName != "example.com" {
			t.Error("it is another")
		}
		a.Drop()
		if in.secret != [maxSecret]byte{} || out.secret != [maxSecret]byte{} {
			t.Error("the secrets are kept")
		}
		if g.closed.Load() {
			t.Error("the descriptor is closed")
		}
		g.shut.Store(false)
		sealed.Refused()
		say(t, server, client, []byte("hello"))
	})
}

// TestSeal_NotWhileClosing: the connection either says close_notify or moves.
func TestSeal_NotWhileClosing(t *testing.T) {
	t.Parallel()
	for range 50 {
		kindsNow(t, func(g *guarded, server movable) {
			var wg sync.WaitGroup
			wg.Go(func() { _ = server.Close() })
			sealed, err := server.Seal()
			if err == nil {
				g.shut.Store(true)
				sealed.Gone()
			}
			wg.Wait()
		})
	}
}

// TestSeal_Closed: a connection that is closed does not move.
func TestSeal_Closed(t *testing.T) {
	t.Parallel()
	kindsNow(t, func(_ *guarded, server movable) {
		must.Do(t, server.Close())
		expectStays(t, server, stays(StaysClosing))
	})
	kindsNow(t, func(_ *guarded, server movable) {
		must.Do(t, server.CloseWrite())
		expectStays(t, server, stays(StaysClosing))
	})
}

// kindsNow is kinds without tests of their own.
func kindsNow(t *testing.T, f func(g *guarded, server movable)) {
	t.Helper()
	for i := range 2 {
		near, far := pipes()
		g := &guarded{pipe: near, t: t}
		first, _ := shake(t, g, far, serverConfig(), clientConfig())
		if i == 0 {
			f(g, first)
		} else {
			f(g, move(t, first, g))
		}
	}
}

// TestNonces records all that the processes of a connection write, over 20 moves and 5 that were refused, with
// new keys of both sides, alerts and late writes. No two records have the same key and number.
func TestNonces(t *testing.T) {
	t.Parallel()
	near, far := pipes()
	log := new(secrets)
	cc := clientConfig()
	cc.KeyLogWriter = log
	var mu sync.Mutex
	var written [][]byte // each record once, in the order of the processes
	tap := func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		for len(b) > 0 {
			n := headSize + int(b[3])<<8 + int(b[4])
			written = append(written, slices.Clone(b[:n]))
			b = b[n:]
		}
	}
	g := &guarded{pipe: near, t: t, tap: tap}
	first, client := shake(t, g, far, serverConfig(), cc)
	there, back := log.halves(t)
	keys := []*half{must.Get(newHalf(back.suite, back.own(), 0))(t)}
	server := movable(first)
	var late sync.WaitGroup
	moves, refused := 0, 0
	for step := 0; moves < 20; step++ {
		say(t, server, client, pattern(1+step*2000))
		if c, ok := server.(*Conn); ok {
			c.out.limit = uint64(5 + step)
			if step%4 == 3 { // its answer is read with the next data
				must.Get(far.Write(there.seal(nil, typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, 1})))(t)
				must.Do(t, there.next())
				must.Get(far.Write(there.seal(nil, typeData, []byte("x"))))(t)
				must.Get(io.ReadFull(server, make([]byte, 1)))(t)
			}
		}
		sealed := seal(t, server)
		g.shut.Store(true)
		before := server
		words := "late"
		late.Go(func() { _, _ = before.Write([]byte("late")) })
		if f, ok := before.(*First); ok {
			words += "by another way"
			late.Go(func() { _, _ = f.TLS().Write([]byte("by another way")) })
		}
		if step%5 == 0 {
			refused++
			g.shut.Store(false)
			sealed.Refused()
			late.Wait()
			must.Get(io.ReadFull(client, make([]byte, len(words))))(t)
			continue
		}
		moves++
		next := &guarded{pipe: near, t: t, tap: tap}
		if step%2 == 0 { // the old process hears late
			server = must.Get(Adopt(next, sealed.State()))(t).Taken()
			say(t, server, client, []byte("hello"))
			sealed.Gone()
		} else {
			state := slices.Clone(sealed.State())
			sealed.Gone()
			server = must.Get(Adopt(next, state))(t).Taken()
		}
		late.Go(func() { _ = before.Close() })
		g = next
	}
	must.Do(t, server.Close())
	late.Wait()
	if refused < 5 {
		t.Fatalf("%d were refused", refused)
	}
	for len(keys) < 60 {
		k := must.Get(newHalf(back.suite, keys[len(keys)-1].own(), 0))(t)
		must.Do(t, k.next())
		keys = append(keys, k)
	}
	type place struct{ key, number int }
	opens := func(record []byte, at place) bool {
		keys[at.key].seq = uint64(at.number)
		_, err := keys[at.key].open(nil, record)
		return err == nil
	}
	// The next number, or a later key's first one, is where a record is if all is right. Else it is looked for.
	find := func(record []byte, last place) (place, bool) {
		if next := (place{last.key, last.number + 1}); opens(record, next) {
			return next, true
		}
		for k := range keys {
			if opens(record, place{k, 0}) {
				return place{k, 0}, true
			}
		}
		for k := range keys {
			for n := range 100 {
				if opens(record, place{k, n}) {
					return place{k, n}, true
				}
			}
		}
		return place{}, false
	}
	seen := map[place]int{}
	var last place
	for i, record := range written {
		if record[0] != typeData {
			continue
		}
		found, ok := find(record, last)
		if !ok {
			if len(seen) > 0 {
				t.Errorf("record %d of %d bytes is under no key", i, len(record))
			}
			continue // the handshake's
		}
		if other, twice := seen[found]; twice {
			t.Errorf("records %d and %d are both number %d under key %d (%s)", other, i, found.number, found.key, hex.EncodeToString(record[:8]))
		}
		seen[found], last = i, found
	}
	t.Log(moves, "moves,", refused, "refused,", len(seen), "records")
	if len(seen) < 70 || last.key < 5 {
		t.Errorf("only %d records, and %d keys", len(seen), last.key)
	}
}
