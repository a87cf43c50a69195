//go:build linux

package release

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"

	"github.com/gracex-go/gracex/internal/minisigntest"
	"github.com/gracex-go/gracex/internal/must"
)

func TestTrust(t *testing.T) {
	offer := Offer{Manifest: []byte(good())}
	offer.Signature = sign(offer.Manifest, "whatever")
	public, _ := keys()
	other, _, err := minisign.GenerateKey(nil)
	must.Do(t, err)
	text := string(must.Get(public.MarshalText())(t))
	for name, c := range map[string]struct {
		trust  Trust
		change func(*Offer)
		says   string // empty: accepted
	}{
		"one key":             {trust: Trust{Name: "shop", Keys: []string{public.String()}}},
		"the text of a file":  {trust: Trust{Name: "shop", Keys: []string{text + "\n"}}},
		"the second of two":   {trust: Trust{Name: "shop", Keys: []string{other.String(), public.String()}}},
		"another key":         {trust: Trust{Name: "shop", Keys: []string{other.String()}}, says: "no key that is configured"},
		"no key":              {trust: Trust{Name: "shop"}, says: "no key is configured"},
		"no name":             {trust: Trust{Keys: []string{public.String()}}, says: "no name"},
		"no key that is one":  {trust: Trust{Name: "shop", Keys: []string{"RWx"}}, says: "no public key"},
		"unsigned, by choice": {trust: Trust{Name: "shop", Unsigned: true}, change: func(o *Offer) { o.Signature = nil }},
		"unsigned with a key": {trust: Trust{Name: "shop", Unsigned: true, Keys: []string{public.String()}}, change: func(o *Offer) { o.Signature = nil }, says: "not signed"},
		"another product":     {trust: Trust{Name: "payments", Keys: []string{public.String()}}, says: `for "shop" and not for "payments"`},
		"one byte changed":    {trust: trust(), change: func(o *Offer) { o.Manifest = bytes.Replace(o.Manifest, []byte("42"), []byte("43"), 1) }, says: "has signed these bytes"},
		"the comment changed": {trust: trust(), change: func(o *Offer) { o.Signature = bytes.Replace(o.Signature, []byte("whatever"), []byte("whenever"), 1) }, says: "has signed these bytes"},
		"no signature":        {trust: trust(), change: func(o *Offer) { o.Signature = []byte("<html>") }, says: "none of minisign"},
		"too long":            {trust: trust(), change: func(o *Offer) { o.Signature = make([]byte, MaxManifest+1) }, says: "at most 65536"},
		"the further check": {trust: Trust{Name: "shop", Keys: []string{public.String()}, Verify: func(context.Context, Offer) error {
			return errors.New("cosign: no")
		}}, says: "cosign: no"},
	} {
		o := offer
		if c.change != nil {
			c.change(&o)
		}
		m, signer, err := c.trust.verify(t.Context(), o)
		switch {
		case c.says != "":
			wants(t, err, ErrNotAccepted, c.says)
		case err != nil || m.Serial != 42 || (len(c.trust.Keys) > 0) != (signer == public.String()):
			t.Errorf("%s: %+v, %q, %v", name, m, signer, err)
		}
	}
}

// TestTrust_Minisign: what Debian's minisign signs is accepted, a release.json and a SHA256SUMS.
func TestTrust_Minisign(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		minisigntest.Run(t, dir, "", args...)
	}
	run("-G", "-W", "-p", "k.pub", "-s", "k.sec")
	public := string(must.Get(os.ReadFile(filepath.Join(dir, "k.pub")))(t))
	for file, text := range map[string]string{"release.json": good(), "SHA256SUMS": zeros + "  shop_linux_amd64\n"} {
		must.Do(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
		run("-S", "-s", "k.sec", "-m", file, "-t", "gracex-release shop 1.5.0 42")
		o := Offer{Manifest: []byte(text), Signature: must.Get(os.ReadFile(filepath.Join(dir, file+".minisig")))(t)}
		for _, key := range []string{public, strings.Split(public, "\n")[1]} {
			m, _, err := Trust{Name: "shop", Keys: []string{key}}.verify(t.Context(), o)
			if err != nil || m.Serial != 42 {
				t.Errorf("%s: %+v %v", file, m, err)
			}
		}
	}
}

func TestPrintable(t *testing.T) {
	err := printableError(refuse("the origin says \x1b[2Jbye\n\xff"))
	if s := err.Error(); s != `release: not accepted: the origin says \x1b[2Jbye\n\xff` || !errors.Is(err, ErrNotAccepted) {
		t.Errorf("%q", s)
	}
	if s := printable(strings.Repeat("x", 10*maxText)); len(s) > maxText+3 {
		t.Errorf("%d bytes", len(s))
	}
}
