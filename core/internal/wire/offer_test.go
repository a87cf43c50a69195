package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestOffer_CarriesSecretsBesideTheJSON: only there, each for its connection.
func TestOffer_CarriesSecretsBesideTheJSON(t *testing.T) {
	t.Parallel()
	msg := OfferMsg{Conns: []Conn{{TLS: 3}, {Name: "chat", State: []byte("hi")}, {TLS: 4}}}
	b := must.Get(AppendOffer(nil, msg, [][]byte{{1, 0, 2}, {0, 0, 0, 0}}))(t)
	f := must.Get(Read(bytes.NewReader(b)))(t)
	got, secrets, err := f.DecodeOffer()
	must.Do(t, err)
	if len(got.Conns) != 3 || string(got.Conns[1].State) != "hi" || got.Conns[0].TLS != 3 {
		t.Errorf("read %+v", got)
	}
	if !bytes.Equal(secrets[0], []byte{1, 0, 2}) || secrets[1] != nil || !bytes.Equal(secrets[2], make([]byte, 4)) {
		t.Errorf("read %v", secrets)
	}
	plain := must.Get(AppendOffer(nil, OfferMsg{Conns: []Conn{{Name: "chat"}}}, nil))(t)
	if want := must.Get(Append(nil, Offer, OfferMsg{Conns: []Conn{{Name: "chat"}}}))(t); !bytes.Equal(plain, want) {
		t.Errorf("without TLS it is %q, not %q", plain, want)
	}
}

// TestOffer_WithAnotherNumberOfBytes is none.
func TestOffer_WithAnotherNumberOfBytes(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"too few":        `{"conns":[{"tls":2}]}` + "\x00x",
		"none":           `{"conns":[{"tls":2}]}`,
		"too many":       `{"conns":[{"tls":2}]}` + "\x00xyz",
		"of nobody":      `{"conns":[{}]}` + "\x00x",
		"less than none": `{"conns":[{"tls":-1}]}` + "\x00x",
	} {
		if _, _, err := (Frame{Type: Offer, Payload: []byte(payload)}).DecodeOffer(); !errors.Is(err, ErrGarbage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
