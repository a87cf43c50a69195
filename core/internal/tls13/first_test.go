package tls13

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestFirst_Handshakes: however the handshake goes, the first record of either side is found.
func TestFirst_Handshakes(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(sc, cc *tls.Config){
		"as usual":   func(_, _ *tls.Config) {},
		"no tickets": func(sc, _ *tls.Config) { sc.SessionTicketsDisabled = true },
		"a retry": func(sc, cc *tls.Config) {
			cc.CurvePreferences, sc.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}, []tls.CurveID{tls.CurveP256}
		},
		"a client's certificate": func(sc, cc *tls.Config) {
			sc.ClientAuth, cc.Certificates = tls.RequireAnyClientCert, certificates()
		},
		"none, though asked for": func(sc, _ *tls.Config) { sc.ClientAuth = tls.RequestClientCert },
		"a config for the client": func(sc, _ *tls.Config) {
			own := sc.Clone()
			sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return own, nil }
		},
		"nil for the client": func(sc, _ *tls.Config) {
			sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
		},
		"a certificate for the client": func(sc, _ *tls.Config) {
			own := sc.Certificates
			sc.Certificates = nil
			sc.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own[0], nil }
		},
	} {
		for _, speaks := range []string{"the client", "the server", "nobody"} {
			t.Run(name+", "+speaks+" first", func(t *testing.T) {
				t.Parallel()
				s, c := sockets(t)
				sc, cc := serverConfig(), clientConfig()
				change(sc, cc)
				first, client := shake(t, s, c, sc, cc)
				switch speaks {
				case "the client":
					say(t, client, first, []byte("before"))
				case "the server":
					say(t, first, client, []byte("before"))
				}
				server := move(t, first, s)
				say(t, server, client, []byte("hello"))
				say(t, client, server, []byte("good day"))
			})
		}
	}
}

// TestFirst_Resumes: sessions resume as without Config, and a resumed connection moves.
func TestFirst_Resumes(t *testing.T) {
	t.Parallel()
	conf := Config(serverConfig())
	cc := clientConfig()
	cc.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 3 {
		s, c := sockets(t)
		first, client := Server(s, conf), tls.Client(c, cc)
		done := make(chan error, 1)
		go func() { done <- first.HandshakeContext(context.Background()) }()
		must.Do(t, client.Handshake())
		must.Do(t, <-done)
		server := move(t, first, s)
		say(t, server, client, []byte("hello"))
		if got := server.ConnectionState().DidResume; got != (i > 0) {
			t.Errorf("connection %d resumed: %v", i, got)
		}
	}
}

// TestFirst_ECH: crypto/tls tells the secrets of the inner hello, and the connection moves like another.
func TestFirst_ECH(t *testing.T) {
	t.Parallel()
	key := must.Get(ecdh.X25519().GenerateKey(rand.Reader))(t)
	inner := []byte{1, 0, 0x20, 0, 32} // a number, DHKEM(X25519), and the length of the key
	inner = append(inner, key.PublicKey().Bytes()...)
	inner = append(inner, 0, 4, 0, 1, 0, 1, 32, 14) // HKDF-SHA256 and AES-128-GCM, the length of names
	inner = append(append(inner, "public.example"...), 0, 0)
	config := append([]byte{0xfe, 0x0d, 0, byte(len(inner))}, inner...)
	sc, cc := serverConfig(), clientConfig()
	sc.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{{Config: config, PrivateKey: key.Bytes()}}
	cc.EncryptedClientHelloConfigList = append([]byte{0, byte(len(config))}, config...)
	cc.EncryptedClientHelloRejectionVerify = func(tls.ConnectionState) error { return nil }
	cc.MinVersion = tls.VersionTLS13
	s, c := sockets(t)
	first, client := shake(t, s, c, sc, cc)
	say(t, client, first, []byte("before"))
	server := move(t, first, s)
	say(t, server, client, []byte("hello"))
	say(t, client, server, []byte("good day"))
	if cs := server.ConnectionState(); !cs.ECHAccepted || cs.ServerName != "example.com" {
		t.Errorf("ECH %v, for %s", cs.ECHAccepted, cs.ServerName)
	}
}

// TestFirst_Stays: a client that has said such a thing keeps its connection here, and is understood.
func TestFirst_Stays(t *testing.T) {
	t.Parallel()
	request := []byte{messageKeyUpdate, 0, 0, 1, 1}
	type step struct {
		typ     byte
		content []byte
	}
	x := step{typeData, []byte("x")}
	for name, tt := range map[string]struct {
		why  Reason
		says []step
	}{
		"a key update":           {StaysKey, []step{{typeHandshake, keyUpdate}, x}},
		"an answered key update": {StaysKey, []step{{typeHandshake, request}, x}},
		"a key update at last":   {StaysKey, []step{x, {typeHandshake, keyUpdate}}},
		"a part of one":          {StaysKey, []step{x, {typeHandshake, keyUpdate[:2]}}},
		"a record without data":  {StaysKey, []step{{typeData, nil}, x}},
		"user_canceled":          {StaysKey, []step{{typeAlert, []byte{1, alertUserCanceled}}, x}},
		"close_notify":           {StaysClosing, []step{x, {typeAlert, []byte{1, 0}}}},
		"an alert":               {StaysClosing, []step{x, {typeAlert, []byte{2, 40}}}},
		"an unknown type":        {StaysClosing, []step{x, {99, []byte("x")}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := pipes()
			at := &stage{near}
			first, _, log := shakeKnown(t, at, far)
			there, _ := log.halves(t)
			s := &script{}
			for _, step := range tt.says {
				s.in = append(s.in, there.seal(nil, step.typ, step.content))
				if step.typ == typeHandshake && len(step.content) == keyUpdateSize {
					must.Do(t, there.next())
				}
			}
			s.in = append(s.in, nil)
			at.Conn = s
			b := make([]byte, 10)
			if n, err := first.Read(b); n != 1 || err != nil {
				t.Fatalf("Read = %d, %v", n, err)
			}
			if n, err := first.Read(b); n != 0 || isTimeout(err) == (tt.why == StaysClosing) {
				t.Fatalf("Read = %d, %v", n, err)
			}
			expectStays(t, first, stays(tt.why))
			expectStays(t, first, stays(tt.why))
			if *first.low.told != (told{}) {
				t.Error("the secrets are kept")
			}
		})
	}
}

// TestFirst_PartOfARecord is in crypto/tls, and the connection can move when the rest has come.
func TestFirst_PartOfARecord(t *testing.T) {
	t.Parallel()
	near, far := pipes()
	at := &stage{near}
	first, _, log := shakeKnown(t, at, far)
	there, _ := log.halves(t)
	b := make([]byte, 10)
	for cut := 1; cut < sealed(1); cut++ {
		record := there.seal(nil, typeData, []byte("x"))
		at.Conn = &script{in: [][]byte{record[:cut], nil, record[cut:]}}
		if _, err := first.Read(b); !isTimeout(err) || !first.Holds() {
			t.Fatalf("Read = %v, Holds = %v", err, first.Holds())
		}
		expectStays(t, first, ErrBusy)
		if n, err := first.Read(b); n != 1 || err != nil || first.Holds() {
			t.Fatalf("Read = %d, %v, Holds = %v", n, err, first.Holds())
		}
		seal(t, first).Refused()
	}
}

// TestFirst_UnreadKeyUpdate goes along.
func TestFirst_UnreadKeyUpdate(t *testing.T) {
	t.Parallel()
	near, far := pipes()
	at := &stage{near}
	first, _, log := shakeKnown(t, at, far)
	there, _ := log.halves(t)
	all := there.seal(there.seal(nil, typeData, []byte("x")), typeHandshake, keyUpdate)
	must.Do(t, there.next())
	at.Conn = &script{in: [][]byte{there.seal(all, typeData, []byte("y"))}}
	b := make([]byte, 10)
	must.Get(first.Read(b))(t)
	server := move(t, first, at)
	if n, err := server.Read(b); n != 1 || err != nil || b[0] != 'y' {
		t.Errorf("Read = %d, %v", n, err)
	}
}

// TestFirst_FailedWrite: it is not known what of a record is out.
func TestFirst_FailedWrite(t *testing.T) {
	t.Parallel()
	s, c := sockets(t)
	first, _ := shake(t, s, c, serverConfig(), clientConfig())
	must.Do(t, first.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
	if _, err := first.Write(make([]byte, 64<<20)); !isTimeout(err) {
		t.Fatalf("Write = %v", err)
	}
	expectStays(t, first, stays(StaysOther))
}

// TestFirst_Version: TLS 1.2 stays, and nothing of it is followed.
func TestFirst_Version(t *testing.T) {
	t.Parallel()
	s, c := sockets(t)
	sc := serverConfig()
	sc.MaxVersion = tls.VersionTLS12
	first, client := shake(t, s, c, sc, clientConfig())
	expectStays(t, first, stays(StaysVersion))
	if !first.low.off.Load() {
		t.Error("its records are counted")
	}
	say(t, first, client, []byte("hello"))
	say(t, client, first, pattern(50000))
}

// TestFirst_WithoutConfig does not move, nor before its handshake.
func TestFirst_WithoutConfig(t *testing.T) {
	t.Parallel()
	near, far := pipes()
	first, client := Server(near, serverConfig()), tls.Client(far, clientConfig())
	expectStays(t, first, stays(StaysHandshake))
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	must.Do(t, first.HandshakeContext(context.Background()))
	must.Do(t, first.HandshakeContext(context.Background()))
	must.Do(t, <-done)
	expectStays(t, first, stays(StaysSecrets))
	say(t, first, client, []byte("hello"))
}

// TestConfig_KeyLog: the program's own writer gets each line once, and its error is crypto/tls's.
func TestConfig_KeyLog(t *testing.T) {
	t.Parallel()
	near, far := pipes()
	here, there := new(secrets), new(secrets)
	sc, cc := serverConfig(), clientConfig()
	sc.KeyLogWriter, cc.KeyLogWriter = here, there
	shake(t, near, far, sc, cc)
	if here.String() == "" || len(here.String()) != len(there.String()) {
		t.Errorf("%q, and the client %q", here, there)
	}
	for line := range strings.Lines(there.String()) {
		if !strings.Contains(here.String(), line) {
			t.Errorf("%q is missing", line)
		}
	}

	near, far = pipes()
	sc.KeyLogWriter = broken{}
	f := Server(near, Config(sc))
	go func() { _ = tls.Client(far, clientConfig()).Handshake() }()
	if err := f.HandshakeContext(context.Background()); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("HandshakeContext = %v", err)
	}
	if *f.low.told != (told{}) {
		t.Error("the secret is kept")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// TestConfig_OtherConnections are served as without.
func TestConfig_OtherConnections(t *testing.T) {
	t.Parallel()
	near, far := pipes()
	server, client := tls.Server(near, Config(serverConfig())), tls.Client(far, clientConfig())
	go func() { _ = client.Handshake() }()
	must.Do(t, server.Handshake())
	say(t, server, client, []byte("hello"))
}

// TestFirst_FIPS: in FIPS 140-3 mode nothing moves, and nothing is adopted.
func TestFirst_FIPS(t *testing.T) {
	t.Parallel()
	const env = "TLS13_TEST_FIPS"
	if os.Getenv(env) == "" {
		cmd := exec.Command(must.Get(os.Executable())(t), "-test.run=^TestFirst_FIPS$")
		cmd.Env = append(os.Environ(), env+"=1", "GODEBUG=fips140=on")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	near, far := pipes()
	first, client := shake(t, near, far, serverConfig(), clientConfig())
	expectStays(t, first, stays(StaysFIPS))
	say(t, first, client, []byte("hello"))
	if _, err := Check(encoded(fullState(t))); !errors.Is(err, stays(StaysFIPS)) {
		t.Errorf("Check = %v", err)
	}
	if err := Probe(); !errors.Is(err, stays(StaysFIPS)) {
		t.Errorf("Probe = %v", err)
	}
}

// TestFirst_KnowsEachRecord that the server has written up to the first one under its last key: with a number that is
// not sure nothing moves.
func TestFirst_KnowsEachRecord(t *testing.T) {
	t.Parallel()
	key := func(b byte) *half {
		return must.Get(newHalf(suites[0], bytes.Repeat([]byte{b}, suites[0].secret), 0))(t)
	}
	shake, last, other := key(1), key(2), key(3)
	fresh := func() *lower {
		l := &lower{Conn: &script{}, told: new(told)}
		copy(l.told.shake.bytes[:], shake.own())
		copy(l.told.server.bytes[:], last.own())
		l.told.shake.size, l.told.server.size = suites[0].secret, suites[0].secret
		return l
	}
	record := func(h *half, seq uint64) []byte {
		h.seq = seq
		return h.seal(nil, typeHandshake, []byte("x"))
	}

	l := fresh()
	hello := []byte{typeHandshake, 3, 3, 0, 1, 'x'}
	must.Get(l.Write(slices.Concat(hello, record(shake, 0), record(shake, 1), record(last, 0))))(t)
	must.Get(l.Write(record(last, 1)))(t)
	if l.broken || !l.found || l.sent != 2 || l.told.shake != (secret{}) {
		t.Errorf("broken %v, found %v, %d records", l.broken, l.found, l.sent)
	}
	for name, b := range map[string][]byte{
		"another key":                   record(other, 0),
		"another number":                record(shake, 1),
		"the second one before another": record(last, 1),
		"a part of a record":            record(last, 0)[:20],
		"a part of a head":              {typeData, 3},
	} {
		l := fresh()
		if must.Get(l.Write(b))(t); !l.broken {
			t.Errorf("%s: it counts %d", name, l.sent)
		}
	}
}

// TestFirst_GivesOneRecordAtATime, whatever comes at once, and keeps the rest.
func TestFirst_GivesOneRecordAtATime(t *testing.T) {
	t.Parallel()
	var all []byte
	sizes := []int{0, 1, 600, 16384, 16384, 3, 2, 5000, 0, 1}
	for _, n := range sizes {
		all = append(append(all, typeData, 3, 3, byte(n>>8), byte(n)), pattern(n)...)
	}
	for _, piece := range []int{1, 4, 5, 6, 100, 2048, 20000, len(all)} {
		for _, room := range []int{1, 5, 517, 2000, 33000} {
			s := &script{}
			for rest := all; len(rest) > 0; {
				n := min(piece, len(rest))
				s.in = append(s.in, rest[:n:n])
				rest = rest[n:]
			}
			l := &lower{Conn: s, done: true}
			var got []byte
			b := make([]byte, room)
			for _, n := range sizes {
				for end := len(got) + headSize + n; len(got) < end; {
					m := must.Get(l.Read(b))(t)
					if got = append(got, b[:m]...); len(got) > end {
						t.Fatalf("piece %d, room %d: %d bytes of the next record", piece, room, len(got)-end)
					}
				}
				if !l.atRecord() {
					t.Fatalf("piece %d, room %d: a record of %d has not ended", piece, room, n)
				}
			}
			if string(got) != string(all) || l.received != uint64(len(sizes)) || l.ahead != nil {
				t.Fatalf("piece %d, room %d: %d records, %d of %d bytes", piece, room, l.received, len(got), len(all))
			}
		}
	}
}

var _ net.Conn = (*lower)(nil)

// TestFirst_HoldsNothingThatWasRead, also when it stays: an idle connection would not be closed in a drain.
func TestFirst_HoldsNothingThatWasRead(t *testing.T) {
	t.Parallel()
	record := append([]byte{typeData, 3, 3, 0, 4}, pattern(4)...)
	l := &lower{Conn: &script{in: [][]byte{append(record[:len(record):len(record)], record...)}}, told: new(told)}
	must.Get(l.Read(make([]byte, 64)))(t)
	if !l.atRecord() || !l.holds.Load() {
		t.Fatal("the second record has not come with the first one")
	}
	l.forget()
	must.Get(io.ReadFull(l, make([]byte, len(record))))(t)
	if l.holds.Load() {
		t.Error("what was read is held")
	}
}
