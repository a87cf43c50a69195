package release

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"aead.dev/minisign"
)

// Trust says which releases are genuine. The zero Trust accepts none.
type Trust struct {
	// Name is the product. A manifest for another one is refused, though it is signed.
	Name string

	// Keys are minisign's public keys, each the text of a .pub file or its second line. A signature by any one of them
	// will do, so that a key can be replaced: add the new one, deploy, sign with it, and remove the old one.
	Keys []string

	// Unsigned accepts a manifest without a look at its signature, if there are no Keys. Whoever can answer in the
	// source's place then decides what runs. It is for a source on this machine.
	Unsigned bool

	// Verify looks at an offer besides, for example by cosign. An error of it refuses the offer. It may be nil.
	Verify func(ctx context.Context, o Offer) error
}

// verify returns the manifest of an offer that is genuine, and the key that has signed it.
func (t Trust) verify(ctx context.Context, o Offer) (m Manifest, signer string, err error) {
	if t.Name == "" {
		return m, "", refuse("Trust has no name: it is not known which product is to be accepted")
	}
	if len(o.Manifest) > MaxManifest || len(o.Signature) > MaxManifest {
		return m, "", refuse("a manifest of %d bytes with a signature of %d, and at most %d are allowed", len(o.Manifest), len(o.Signature), MaxManifest)
	}
	var comment string
	if len(t.Keys) > 0 {
		if signer, comment, err = t.signedBy(o); err != nil {
			return m, "", err
		}
	} else if !t.Unsigned {
		return m, "", refuse("no key is configured; give the public key with which the releases of %s are signed", t.Name)
	}
	if m, err = parse(o.Manifest, comment, signer != ""); err != nil {
		return m, signer, err
	}
	if m.Name != t.Name {
		return m, signer, refuse("it is signed, but for %q and not for %q", m.Name, t.Name)
	}
	if t.Verify != nil {
		if err := t.Verify(ctx, o); err != nil {
			return m, signer, refuse("the further check says no: %w", err)
		}
	}
	return m, signer, nil
}

// errUnsigned is for a manifest to which the signature does not belong.
var errUnsigned = errors.New("the manifest is not signed")

// firstByte is the first one that is not white space; 0 for none.
func firstByte(b []byte) byte {
	if b = bytes.TrimLeft(b, " \t\r\n"); len(b) > 0 {
		return b[0]
	}
	return 0
}

// parse reads a release.json or a SHA256SUMS.
func parse(raw []byte, comment string, signed bool) (Manifest, error) {
	if firstByte(raw) == '{' {
		return ParseManifest(raw)
	}
	if !signed {
		return Manifest{}, refuse("the manifest is no JSON; a SHA256SUMS has its version in the signature, and has to be signed")
	}
	return ParseSums(raw, comment)
}

// signedBy returns the key that has signed the manifest, and the signature's trusted comment.
func (t Trust) signedBy(o Offer) (signer, comment string, err error) {
	if len(o.Signature) == 0 {
		return "", "", refuse("%w", errUnsigned)
	}
	for i, text := range t.Keys {
		k, err := parseKey(text)
		if err != nil { // the text is not told: it can be the private key, by mistake
			return "", "", refuse("key %d of the %d configured ones is no public key of minisign: %w", i+1, len(t.Keys), err)
		}
		if !minisign.Verify(k, o.Manifest, o.Signature) {
			continue
		}
		var sig minisign.Signature
		if err := sig.UnmarshalText(o.Signature); err != nil {
			return "", "", refuse("its signature: %w", err)
		}
		return k.String(), sig.TrustedComment, nil
	}
	var sig minisign.Signature
	if sig.UnmarshalText(o.Signature) != nil {
		return "", "", refuse("its signature is none of minisign")
	}
	return "", "", refuse("%w: no key that is configured has signed these bytes; the signature names key %016X", errUnsigned, sig.KeyID)
}

// parseKey reads a public key, with or without the comment before it.
func parseKey(text string) (k minisign.PublicKey, err error) {
	err = k.UnmarshalText([]byte(strings.TrimSpace(text)))
	return k, err
}
