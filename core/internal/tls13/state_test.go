package tls13

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// fullState has something in each part.
func fullState(t testing.TB) *state {
	t.Helper()
	leaf := must.Get(x509.ParseCertificate(certificates()[0].Certificate[0]))(t)
	st := &state{
		suite: suites[1], retried: true, useless: 3, message: keyUpdate[:3], plain: []byte("plain"), cipher: []byte("cipher"),
		read: keys{seq: 7}, write: keys{seq: 1 << 40},
	}
	for i := range maxSecret {
		st.read.secret[i], st.write.secret[i] = byte(0x80+i), byte(0xc0+i)
	}
	st.info = tls.ConnectionState{
		Version: tls.VersionTLS13, HandshakeComplete: true, CipherSuite: st.suite.id,
		DidResume: true, ECHAccepted: true, CurveID: tls.X25519MLKEM768, NegotiatedProtocol: "h2", ServerName: "example.com",
		OCSPResponse: []byte("staple"), SignedCertificateTimestamps: [][]byte{[]byte("one"), []byte("two")},
		PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf, leaf}, {leaf}},
	}
	setRetried(&st.info, true)
	mutual(&st.info)
	return st
}

func mutual(cs *tls.ConnectionState) { cs.NegotiatedProtocolIsMutual = true } //nolint:staticcheck // it is what crypto/tls says

func TestState(t *testing.T) {
	t.Parallel()
	for _, st := range []*state{fullState(t), {suite: suites[0], info: tls.ConnectionState{
		Version: tls.VersionTLS13, HandshakeComplete: true, CipherSuite: suites[0].id,
	}}} {
		mutual(&st.info)
		b := must.Get(st.append())(t)
		got := must.Get(parse(b))(t)
		if !reflect.DeepEqual(got, st) {
			t.Errorf("%x has become %x", b, encoded(got))
		}
		holds, err := Check(b)
		if must.Do(t, err); holds != (len(st.plain) > 0) {
			t.Errorf("Check = %v", holds)
		}
		for n := range b {
			if _, err := parse(b[:n]); !errors.Is(err, ErrState) {
				t.Fatalf("the first %d of %d bytes: %v", n, len(b), err)
			}
		}
		if _, err := parse(append(b, 0)); !errors.Is(err, ErrState) {
			t.Errorf("a byte more: %v", err)
		}
	}
}

// TestState_IsStrict: each of these could be there only by a fault.
func TestState_IsStrict(t *testing.T) {
	t.Parallel()
	leaf := certificates()[0].Certificate[0]
	for name, change := range map[string]func(st *state, b []byte) []byte{
		"another version": func(_ *state, b []byte) []byte { b[0]++; return b },
		"another suite":   func(_ *state, b []byte) []byte { b[2] = 3; return b },
		"a flag":          func(_ *state, b []byte) []byte { b[3] |= flagsEnd; return b },
		"a number in more bytes": func(_ *state, b []byte) []byte {
			return bytes.Replace(b, []byte("\x02h2"), []byte("\x82\x00h2"), 1)
		},
		"a length beyond the end": func(_ *state, b []byte) []byte {
			return bytes.Replace(b, []byte("\x06cipher"), []byte("\xff\x7fcipher"), 1)
		},
		"no certificate": func(_ *state, b []byte) []byte {
			return bytes.Replace(b, leaf[:4], []byte("\x31\x82\x03\x30"), 1)
		},
		"a certificate of no list": func(_ *state, b []byte) []byte {
			at := bytes.Index(b, leaf)
			head := append([]byte(nil), b[:at-3]...) // with the number of certificates, and the length
			return append(appendBytes(append(head, 2), leaf), append(appendBytes(nil, leaf), b[at+len(leaf):]...)...)
		},
		"useless records": func(st *state, _ []byte) []byte { st.useless = maxUseless + 1; return encoded(st) },
		"a message":       func(st *state, _ []byte) []byte { st.message = []byte{1}; return encoded(st) },
		"a whole message": func(st *state, _ []byte) []byte { st.message = keyUpdate; return encoded(st) },
		"plaintext":       func(st *state, _ []byte) []byte { st.plain = make([]byte, maxPlain+1); return encoded(st) },
		"ciphertext":      func(st *state, _ []byte) []byte { st.cipher = make([]byte, bufferSize+1); return encoded(st) },
		"a number":        func(st *state, _ []byte) []byte { st.read.seq = maxSeq + 1; return encoded(st) },
		"nothing":         func(*state, []byte) []byte { return nil },
		"too much":        func(*state, []byte) []byte { return append([]byte{stateVersion}, make([]byte, MaxState)...) },
	} {
		st := fullState(t)
		if _, err := parse(change(st, encoded(st))); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func encoded(st *state) []byte {
	b, _ := st.append()
	return b
}

// TestState_Large: a state that no frame has room for is not made.
func TestState_Large(t *testing.T) {
	t.Parallel()
	st := fullState(t)
	st.info.OCSPResponse = make([]byte, MaxState)
	if _, err := st.append(); !errors.Is(err, stays(StaysLarge)) {
		t.Errorf("%v", err)
	}
	st = fullState(t)
	for range maxList {
		st.info.VerifiedChains = append(st.info.VerifiedChains, nil)
	}
	if _, err := st.append(); !errors.Is(err, stays(StaysLarge)) {
		t.Errorf("%v", err)
	}
}

// TestSecretsAreNotPrinted by any verb, nor by encoding/json.
func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	s, c := sockets(t)
	first, client, log := shakeKnown(t, s, c)
	say(t, client, first, []byte("hello"))
	sealed := seal(t, first)
	conn := must.Get(Adopt(s, sealed.State()))(t).Taken()
	st := must.Get(parse(sealed.State()))(t)
	secret := strings.Fields(log.String())
	for _, x := range []any{first, first.low, sealed, conn, &Arrived{conn}, conn.in.half, conn.out.half, st, struct{ c any }{conn}, struct{ c any }{first}, struct{ c any }{first.low}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			expectNoSecret(t, fmt.Sprintf(verb, x), secret)
		}
		if b, err := json.Marshal(x); err == nil {
			expectNoSecret(t, string(b), secret)
		}
	}
	sealed.Gone()
}

// expectNoSecret looks for the secrets of a key log in the forms that fmt gives to bytes.
func expectNoSecret(t *testing.T, text string, log []string) {
	t.Helper()
	for i := 2; i < len(log); i += 3 {
		b := must.Get(hex.DecodeString(log[i]))(t)[:8]
		for _, form := range []string{hex.EncodeToString(b), strings.Trim(fmt.Sprint(b), "[]"), strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"), string(b)} {
			if strings.Contains(text, form) {
				t.Errorf("%s is in %.200s", log[i-2], text)
			}
		}
	}
}

// FuzzParse: whatever is understood is a state that means the same again.
func FuzzParse(f *testing.F) {
	f.Add(encoded(fullState(f)))
	f.Add(encoded(&state{suite: suites[0]}))
	f.Add([]byte{stateVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := parse(b)
		if err != nil {
			return
		}
		if again := encoded(st); !bytes.Equal(again, b) {
			t.Fatalf("%x has become %x", b, again)
		}
		if len(st.cipher) > bufferSize || len(st.plain) > maxPlain || st.useless > maxUseless {
			t.Fatal("more than there can be")
		}
	})
}
