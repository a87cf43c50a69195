package tls13

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// pattern is n bytes that do not repeat soon.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

func TestProbe(t *testing.T) {
	t.Parallel()
	must.Do(t, Probe())
}

// TestMove_Sizes: what is said in either direction, of any size, is the same after each move.
func TestMove_Sizes(t *testing.T) {
	t.Parallel()
	s, c := sockets(t)
	first, client := shake(t, s, c, serverConfig(), clientConfig())
	var server movable = first
	for _, n := range []int{1, 2, 100, 4096, 16383, 16384, 16385, 40000, 65536, 300000} {
		b := pattern(n)
		say(t, client, server, b)
		say(t, server, client, b)
		server = move(t, server, s)
		say(t, server, client, b)
		say(t, client, server, b)
	}
	must.Do(t, server.CloseWrite())
	if n, err := client.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Read = %d, %v", n, err)
	}
	must.Do(t, client.CloseWrite())
	if n, err := server.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Read = %d, %v", n, err)
	}
	must.Do(t, server.Close())
}

// TestMove_InTheMiddle: what was read ahead goes along, as plaintext and as ciphertext, whole or cut anywhere.
func TestMove_InTheMiddle(t *testing.T) {
	t.Parallel()
	near, far := pipes()
	first, client := shake(t, near, far, serverConfig(), clientConfig())
	var server movable = first
	b := pattern(5000)
	must.Get(client.Write(b))(t)
	must.Get(client.Write(b))(t)
	got := make([]byte, 0, 10000)
	for len(got) < cap(got) {
		n := min(321, cap(got)-len(got))
		must.Get(io.ReadFull(server, got[len(got):len(got)+n]))(t)
		got = got[:len(got)+n]
		if sealed, err := server.Seal(); err == nil {
			server = must.Get(Adopt(near, sealed.State()))(t).Taken()
			sealed.Gone()
		} else if !errors.Is(err, ErrBusy) { // a part of a record is in crypto/tls
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, append(b, b...)) {
		t.Error("they are others")
	}
	if _, ok := server.(*Conn); !ok {
		t.Error("it has not moved")
	}
	say(t, server, client, b)
}

// TestMove_PartOfARecord: a timeout in the middle of a record, a move, and the rest.
func TestMove_PartOfARecord(t *testing.T) {
	t.Parallel()
	near, far := pipes()
	first, _, log := shakeKnown(t, near, far)
	there, _ := log.halves(t)
	record := there.seal(nil, typeData, pattern(700))
	server := move(t, first, near)
	for i := range record {
		s := &script{in: [][]byte{record[:i:i], nil}}
		if i == 0 {
			s.in = s.in[1:]
		}
		server.below, server.in.half.seq = s, 0
		b := make([]byte, 700)
		if n, err := server.Read(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Read = %d, %v", n, err)
		}
		if server.Holds() != (i > 0) {
			t.Errorf("%d bytes: Holds = %v", i, server.Holds())
		}
		rest := &script{in: [][]byte{record[i:]}}
		server = move(t, server, rest)
		if server.Holds() != (i > 0) {
			t.Errorf("%d bytes, moved: Holds = %v", i, server.Holds())
		}
		must.Get(io.ReadFull(server, b))(t)
		if !bytes.Equal(b, pattern(700)) {
			t.Fatalf("cut at %d: it is another", i)
		}
	}
}

// TestMove_PartOfAMessage: a KeyUpdate in two records, a byte each if need be, and moves between them. What has been
// ignored by then is remembered.
func TestMove_PartOfAMessage(t *testing.T) {
	t.Parallel()
	for cut := 1; cut < keyUpdateSize; cut++ {
		near, far := pipes()
		first, _, log := shakeKnown(t, near, far)
		there, _ := log.halves(t)
		server := move(t, first, near)
		hears := func(content []byte, typ byte) {
			t.Helper()
			s := &script{in: [][]byte{there.seal(nil, typ, content), nil}}
			server = move(t, server, s)
			if n, err := server.Read(make([]byte, 1)); n != 0 || !isTimeout(err) {
				t.Fatalf("Read = %d, %v", n, err)
			}
		}
		for range maxUseless - 1 {
			hears(nil, typeData)
		}
		hears(keyUpdate[:cut], typeHandshake)
		hears(keyUpdate[cut:], typeHandshake)
		must.Do(t, there.next())
		server = move(t, server, &script{in: [][]byte{there.seal(nil, typeData, nil)}})
		if _, err := server.Read(make([]byte, 1)); err == nil || err.Error() != "tls: too many ignored records" {
			t.Errorf("cut at %d: Read = %v", cut, err)
		}
	}
}

// TestConn_HasHadItsLastWord: after close_notify, and after a fatal alert, nothing is sent.
func TestConn_HasHadItsLastWord(t *testing.T) {
	t.Parallel()
	for _, shut := range []bool{false, true} {
		near, far := pipes()
		first, _, log := shakeKnown(t, near, far)
		there, back := log.halves(t)
		back.seq = first.low.sent
		s := &script{}
		server := move(t, first, s)
		want := said{typeAlert, "\x02\x14"}
		if shut {
			want.content = "\x01\x00"
			must.Do(t, server.CloseWrite())
		}
		s.in = [][]byte{there.seal(nil, typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, 1}), there.seal(nil, typeData, nil)}
		if !shut {
			s.in = s.in[1:]
		}
		if _, err := server.Read(make([]byte, 1)); err == nil || err.Error() != "local error: tls: bad record MAC" {
			t.Errorf("Read = %v", err)
		}
		must.Do(t, server.Close())
		if got := back.understand(t, s.out.Bytes()); len(got) != 1 || got[0] != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}

// TestConnectionState: it is the same in each process.
func TestConnectionState(t *testing.T) {
	t.Parallel()
	s, c := sockets(t)
	sc, cc := serverConfig(), clientConfig()
	sc.ClientAuth, sc.ClientCAs = tls.RequireAnyClientCert, nil
	cc.Certificates = certificates()
	cc.NextProtos = []string{"http/1.1"}
	cc.CurvePreferences, sc.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}, []tls.CurveID{tls.CurveP256} // a retry
	first, client := shake(t, s, c, sc, cc)
	want := describe(first.ConnectionState())
	if !strings.Contains(want, "example.com http/1.1") || strings.Contains(want, "retried false") && retriedIsKnown() {
		t.Errorf("before: %s", want)
	}
	var server movable = first
	for range 3 {
		server = move(t, server, s)
		if got := describe(server.ConnectionState()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		say(t, client, server, []byte("hello"))
	}
}

func retriedIsKnown() bool {
	var cs tls.ConnectionState
	setRetried(&cs, true)
	return retried(&cs)
}

func describe(cs tls.ConnectionState) string {
	text := fmt.Sprint(cs.Version, cs.CipherSuite, cs.CurveID, cs.HandshakeComplete, " ",
		cs.ServerName, " ", cs.NegotiatedProtocol, " resumed ", cs.DidResume, " retried ", retried(&cs), " ECH ", cs.ECHAccepted)
	for _, c := range cs.PeerCertificates {
		text += fmt.Sprintf(" %x", c.Raw)
	}
	for _, chain := range cs.VerifiedChains {
		text += " chain"
		for _, c := range chain {
			text += fmt.Sprintf(" %x", c.Raw)
		}
	}
	return text
}

// TestConn_KeyLimit: the key is changed before it was used too often, also in the middle of a large Write, and by moves.
func TestConn_KeyLimit(t *testing.T) {
	t.Parallel()
	s, c := sockets(t)
	first, client := shake(t, s, c, serverConfig(), clientConfig())
	server := move(t, first, s)
	secret := server.out.half.secret
	for i := range 30 {
		server.out.limit = 3
		say(t, server, client, pattern(1+i*i*200))
		if n := server.out.half.seq; n > 3 {
			t.Fatalf("%d records with one key", n)
		}
		server = move(t, server, s)
	}
	if server.out.half.secret == secret {
		t.Error("the key is the first one")
	}
	say(t, client, server, []byte("hello"))
}

// TestConn_Deadlines: a Read goes on after a timeout, a Write does not.
func TestConn_Deadlines(t *testing.T) {
	t.Parallel()
	s, c := sockets(t)
	first, client := shake(t, s, c, serverConfig(), clientConfig())
	server := move(t, first, s)
	for range 2 {
		must.Do(t, server.SetReadDeadline(time.Unix(1, 0)))
		_, err := server.Read(make([]byte, 1))
		if !isTimeout(err) || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(err.Error(), "read tcp ") {
			t.Errorf("Read = %v", err)
		}
		must.Do(t, server.SetReadDeadline(time.Time{}))
		say(t, client, server, []byte("hello"))
	}
	must.Do(t, server.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := server.Write(make([]byte, 64<<20)) // that nobody reads
	if !isTimeout(err) {
		t.Fatalf("Write = %v", err)
	}
	must.Do(t, server.SetWriteDeadline(time.Time{}))
	var ne net.Error
	if _, again := server.Write([]byte("more")); again == nil || again.Error() != err.Error() || !errors.As(again, &ne) || ne.Temporary() { //nolint:staticcheck // crypto/tls has it
		t.Errorf("Write = %v", again)
	}
	expectStays(t, server, stays(StaysClosing))
	must.Do(t, server.Close()) // without a word
}

// TestConn_Ends: what Close and CloseWrite do, and what is done after them, is as with crypto/tls.
func TestConn_Ends(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string]func(c movable) []any{
		"Close": func(c movable) []any {
			_, err := c.Write([]byte("hello"))
			closed := c.Close()
			_, after := c.Write([]byte("more"))
			return []any{err, closed, after, c.Close(), c.CloseWrite()}
		},
		"CloseWrite": func(c movable) []any {
			shut := c.CloseWrite()
			_, after := c.Write([]byte("more"))
			return []any{shut, c.CloseWrite(), after, c.Close()}
		},
		"empty": func(c movable) []any {
			n, err := c.Write(nil)
			m, rerr := c.Read(nil)
			return []any{n, err, m, rerr, c.Close()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play := func(ours bool) string {
				near, far := pipes()
				first, client := shake(t, near, far, serverConfig(), clientConfig())
				conn := movable(plainTLS{first.conn})
				if ours {
					conn = move(t, first, near)
				}
				got := fmt.Sprint(steps(conn))
				b, err := io.ReadAll(client)
				return fmt.Sprintf("%s; the client reads %q, %v", got, b, err)
			}
			if got, want := play(true), play(false); got != want {
				t.Errorf("%s\ncrypto/tls: %s", got, want)
			}
		})
	}
}

// TestConn_CloseEndsAWrite that waits for the client to read.
func TestConn_CloseEndsAWrite(t *testing.T) {
	t.Parallel()
	s, c := sockets(t)
	first, _ := shake(t, s, c, serverConfig(), clientConfig())
	server := move(t, first, s)
	done := make(chan error, 1)
	go func() {
		_, err := server.Write(make([]byte, 64<<20))
		done <- err
	}()
	for { // until it is under way
		server.calls.mu.Lock()
		writes := server.calls.writes
		server.calls.mu.Unlock()
		if writes > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	must.Do(t, server.Close())
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write = %v", err)
	}
	if server.out.half != nil || server.in.half.aead != nil {
		t.Error("it has the secrets still")
	}
}

// TestConn_WritesRecordsTogether: a large Write takes a system call for each 64 KiB, and a small one a single record.
func TestConn_WritesRecordsTogether(t *testing.T) {
	t.Parallel()
	near, far := pipes()
	first, _ := shake(t, near, far, serverConfig(), clientConfig())
	writes := 0
	server := move(t, first, &guarded{pipe: near, t: t, tap: func([]byte) { writes++ }})
	for size, want := range map[int]int{1: 1, 4096: 1, 4097: 1, maxPlain: 1, 4 * maxPlain: 1, 4*maxPlain + 1: 2, 1 << 20: 16} {
		writes = 0
		if must.Get(server.Write(pattern(size)))(t); writes != want {
			t.Errorf("%d bytes: %d writes, want %d", size, writes, want)
		}
	}
}

// TestConn_Concurrency: many write, one reads, and the client asks for new keys.
func TestConn_Concurrency(t *testing.T) {
	t.Parallel()
	near, far := pipes()
	first, _, log := shakeKnown(t, near, far)
	there, back := log.halves(t)
	back.seq = first.low.sent
	server := move(t, first, near)
	far.in.b = nil // the ticket
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				must.Get(server.Write(pattern(3000)))(t)
			}
		})
	}
	for range 50 {
		must.Get(far.Write(there.seal(nil, typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, 1})))(t)
		must.Do(t, there.next())
		must.Get(far.Write(there.seal(nil, typeData, []byte("x"))))(t)
		must.Get(io.ReadFull(server, make([]byte, 1)))(t)
	}
	wg.Wait()
	data, updates := 0, 0
	for _, s := range back.understand(t, far.in.b) {
		switch s.typ {
		case typeData:
			data += len(s.content)
		case typeHandshake:
			updates++
		}
	}
	if data != 4*50*3000 || updates != 50 {
		t.Errorf("%d bytes, %d updates", data, updates)
	}
}
