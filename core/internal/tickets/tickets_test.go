package tickets

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// world has a clock that all take part in, a server's config and a client's.
type world struct {
	t              *testing.T
	at             time.Time
	server, client *tls.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	w := &world{t: t, at: time.Now()}
	w.server = &tls.Config{Certificates: s.TLS.Certificates, Time: w.now}
	w.client = &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(0), Time: w.now}
	return w
}

func (w *world) now() time.Time { return w.at }

// process is a process of the service, with a server on the label.
func (w *world) process(rotates bool) *Keys {
	k := New(func() bool { return rotates })
	k.now = w.now
	return k
}

func (w *world) shared(k *Keys, label string) *tls.Config {
	s := k.Sealer(label)
	return Share(w.server, func() *Sealer { return s }, HasOwn)
}

// handOver hands the keys of k to another process.
func (w *world) handOver(k *Keys) *Keys {
	w.t.Helper()
	next := w.process(true)
	must.Do(w.t, next.Take(k.Payload()))
	return next
}

// resumes shakes hands with the server, and reports whether the client's session went on.
func (w *world) resumes(server *tls.Config) bool {
	w.t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	go func() {
		c := tls.Server(there, server)
		if c.Handshake() == nil {
			_, _ = c.Write([]byte("."))
		}
	}()
	c := tls.Client(here, w.client)
	must.Do(w.t, c.Handshake())
	_, err := c.Read(make([]byte, 1)) // with the ticket before it
	must.Do(w.t, err)
	return c.ConnectionState().DidResume
}

func (w *world) expect(what string, want bool, server *tls.Config) {
	w.t.Helper()
	if got := w.resumes(server); got != want {
		w.t.Errorf("%s: resumed %v, want %v", what, got, want)
	}
}

// forget has the client begin anew.
func (w *world) forget() { w.client.ClientSessionCache = tls.NewLRUClientSessionCache(0) }

// TestShare_AcrossProcesses has sessions go on in the processes that get the keys, and only there and at the same server,
// in both versions of TLS.
func TestShare_AcrossProcesses(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		w := newWorld(t)
		w.client.MaxVersion = version
		first := w.process(true)
		w.expect("the first time", false, w.shared(first, "a"))
		w.expect("the same process", true, w.shared(first, "a"))
		second := w.handOver(first)
		w.expect("the next process", true, w.shared(second, "a"))
		w.expect("the one before, which serves again", true, w.shared(first, "a"))
		w.expect("after several", true, w.shared(w.handOver(w.handOver(second)), "a"))
		w.expect("another server", false, w.shared(second, "b"))
		w.forget()
		w.expect("the first time again", false, w.shared(first, "a"))
		w.expect("a process without the keys", false, w.shared(w.process(true), "a"))
	}
}

// TestKeys_AgeInAllProcesses: a key lives for seven days after it was made, however many processes have had it.
func TestKeys_AgeInAllProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.process(true)
	begin := w.at
	w.expect("the first time", false, w.shared(k, "a"))
	first := k.list[0].secret
	for w.at.Sub(begin) < Lifetime {
		if !slices.ContainsFunc(k.list, func(x *key) bool { return x.secret == first }) {
			t.Fatalf("the first key is dropped after %v", w.at.Sub(begin))
		}
		w.at = w.at.Add(5 * time.Hour)
		k = w.handOver(k)
		w.expect("after "+fmt.Sprint(w.at.Sub(begin)), true, w.shared(k, "a"))
	}
	if n := len(k.list); n < 6 || n > 8 {
		t.Errorf("there are %d keys after a week", n)
	}
	for _, x := range k.list {
		if x.secret == first || w.at.Sub(x.born) >= Lifetime {
			t.Errorf("a key that is %v old is there", w.at.Sub(x.born))
		}
	}
}

// TestKeys_OneProcessRotates: one that may not make a key uses those that there are, and makes the first.
func TestKeys_OneProcessRotates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.process(false)
	for range 3 {
		w.expect("with the only key", k.list != nil, w.shared(k, "a"))
		w.at = w.at.Add(30 * time.Hour)
	}
	if len(k.list) != 1 {
		t.Errorf("it has made %d keys", len(k.list))
	}
	k.rotates = func() bool { return true }
	w.expect("with the next key", true, w.shared(k, "a"))
	if len(k.list) != 2 || !k.list[0].born.Equal(w.at) {
		t.Errorf("there are %d keys", len(k.list))
	}
	w.expect("which it is sealed with", true, w.shared(k, "a"))
}

// TestKeys_TakesBesideItsOwn: a process that has served before it was told of the service's keys opens both.
func TestKeys_TakesBesideItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, k := w.process(true), w.process(true)
	w.expect("the old process", false, w.shared(old, "a"))
	theirs := w.client.ClientSessionCache
	w.forget()
	w.expect("the new process", false, w.shared(k, "a"))
	must.Do(t, k.Take(old.Payload()))
	must.Do(t, k.Take(old.Payload()))
	w.expect("its own", true, w.shared(k, "a"))
	w.client.ClientSessionCache = theirs
	w.expect("the service's", true, w.shared(k, "a"))
	if len(k.list) != 2 {
		t.Errorf("there are %d keys", len(k.list))
	}
}

// TestKeys_TakeRefuses what is none, with nothing of it in the error, and keeps no payload.
func TestKeys_TakeRefuses(t *testing.T) {
	t.Parallel()
	many := `{"keys":[` + strings.Repeat(`{"born":1},`, 20) + `{"born":1}]}`
	for _, s := range []string{"", "secret", `{"keys":"secret"}`, `{"keys":[{"key":"c2VjcmV0","born":1}]}`,
		`{"keys":[{"key":"s","born":1}]}`, `{"keys":[{"key":"","born":"secret"}]}`, many} {
		k, payload := New(nil), []byte(s)
		if err := k.Take(payload); !errors.Is(err, errNoKeys) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", s, err)
		}
		if len(k.list) != 0 || bytes.Trim(payload, "\x00") != nil {
			t.Errorf("%q: %d keys, and the payload is %q", s, len(k.list), payload)
		}
	}
}

// TestKeys_AreFromNoOtherTime: a key of a clock that is ahead is as old as it can be here.
func TestKeys_AreFromNoOtherTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.at = w.at.Add(1000 * time.Hour)
	k := w.process(true)
	w.expect("the first time", false, w.shared(k, "a"))
	payload := k.Payload()
	w.at = w.at.Add(-1000 * time.Hour)
	next := w.process(true)
	must.Do(t, next.Take(payload))
	if born := next.list[0].born; !born.Equal(w.at) {
		t.Errorf("the key is of %v, and now is %v", born, w.at)
	}
}

// TestKeys_AreInNoText looks for a key in what fmt writes, in each form of its verbs.
func TestKeys_AreInNoText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.process(true)
	s := k.Sealer("a")
	_, err := s.current()
	must.Do(t, err)
	x := k.list[0]
	x.secret = [size]byte{0x5e, 0xc7, 0xe7}
	for _, v := range []any{x, k, s, k.list, errNoKeys} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text := fmt.Sprintf(verb, v)
			for _, secret := range []string{"94 199 231", "0x5e, 0xc7", hex.EncodeToString(x.secret[:3])} {
				if strings.Contains(text, secret) {
					t.Errorf("%s of %T: %s", verb, v, text)
				}
			}
		}
	}
}

// TestShare_LeavesAlone what the program has said itself.
func TestShare_LeavesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	used := w.server.Clone()
	w.expect("a config that was used", false, used)
	w.forget()
	withKeys := w.server.Clone()
	withKeys.SetSessionTicketKeys([][32]byte{{1}})
	for name, c := range map[string]struct {
		conf *tls.Config
		own  bool
	}{
		"nothing": {w.server, false},
		"a config that crypto/tls has made keys for": {used, false},
		"SessionTicketsDisabled":                     {&tls.Config{SessionTicketsDisabled: true}, true},
		"SessionTicketKey":                           {&tls.Config{SessionTicketKey: [32]byte{31: 1}}, true}, //nolint:staticcheck // a program may still set it
		"WrapSession":                                {&tls.Config{WrapSession: w.server.EncryptTicket}, true},
		"UnwrapSession":                              {&tls.Config{UnwrapSession: w.server.DecryptTicket}, true},
		"SetSessionTicketKeys":                       {withKeys, true},
		"a copy with keys":                           {withKeys.Clone(), true},
	} {
		if own := HasOwn(c.conf); own != c.own {
			t.Errorf("%s: its own %v, want %v", name, own, c.own)
		}
		k := w.process(true)
		if got := w.shared(k, "a"); (Share(c.conf, func() *Sealer { return nil }, HasOwn) == c.conf) != c.own || got == w.server {
			t.Errorf("%s: a copy %v", name, got == c.conf)
		}
	}
}

// TestShare_ConfigForClient: the configs of GetConfigForClient take part, and those with keys of their own do not.
func TestShare_ConfigForClient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  func(*tls.Config)
		want bool // with the keys of the service
	}{
		"a config":              {func(*tls.Config) {}, true},
		"with keys":             {func(c *tls.Config) { c.SetSessionTicketKeys([][32]byte{{1}}) }, true}, // by its own
		"without tickets":       {func(c *tls.Config) { c.SessionTicketsDisabled = true }, false},
		"with a client's right": {func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }, false},
	} {
		w := newWorld(t)
		own := w.server.Clone()
		c.set(own)
		w.server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return own, nil }
		leave := func(c *tls.Config) bool { return c.ClientAuth != 0 || HasOwn(c) }
		shared := func(k *Keys) *tls.Config {
			s := k.Sealer("a")
			return Share(w.server, func() *Sealer { return s }, leave)
		}
		first := w.process(true)
		w.expect(name+", the first time", false, shared(first))
		k := first
		if c.want && name != "with keys" {
			k = w.handOver(first)
		} else if first.list != nil {
			t.Errorf("%s: the keys of the service are used", name)
		}
		w.expect(name, c.want, shared(k))
	}
	w := newWorld(t)
	refused := errors.New("refused")
	for _, err := range []error{nil, refused} {
		w.server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, err }
		if c, got := w.shared(w.process(true), "a").GetConfigForClient(nil); c != nil || !errors.Is(got, err) {
			t.Errorf("%v: %v, %v", err, c, got)
		}
	}
}

// TestShare_WithoutSealer: it is as the program's config is, and is part of the service later.
func TestShare_WithoutSealer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var s *Sealer
	conf := Share(w.server, func() *Sealer { return s }, HasOwn)
	w.expect("the first time", false, conf)
	w.expect("with its own keys", true, conf)
	k := w.process(true)
	s = k.Sealer("a")
	w.expect("with the service's", false, conf)
	w.expect("again", true, w.shared(w.handOver(k), "a"))
}

// FuzzTake: what is taken is handed on.
func FuzzTake(f *testing.F) {
	k := New(func() bool { return true })
	_, err := k.Sealer("a").current()
	must.Do(f, err)
	f.Add(k.Payload())
	f.Add([]byte(`{"keys":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, next := New(func() bool { return false }), New(func() bool { return false })
		if k.Take(bytes.Clone(b)) != nil { // which clears it
			return
		}
		payload := k.Payload()
		if payload == nil {
			return
		}
		must.Do(t, next.Take(bytes.Clone(payload)))
		if again := next.Payload(); !bytes.Equal(again, payload) {
			t.Errorf("%q became %q", payload, again)
		}
	})
}

// BenchmarkHasOwn is what each handshake of a server with GetConfigForClient waits for.
func BenchmarkHasOwn(b *testing.B) {
	for b.Loop() {
		HasOwn(new(tls.Config))
	}
}
