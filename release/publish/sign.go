package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/release"
)

// commentWord begins the trusted comment of a release, see release.ParseSums.
const commentWord = "gracex-release"

// comment is the trusted comment of every signature here. A host reads it with a SHA256SUMS; for minisign's users it
// says what they verify.
func comment(m release.Manifest) string {
	return fmt.Sprintf(commentWord+" %s %s %d", m.Name, m.Version, m.Serial)
}

// CheckField refuses a key that is none of those in the field, which are the public keys that hosts have now: they would
// refuse what it signs. No keys in the field say nothing.
func (k *Key) CheckField(field []string) error {
	if len(field) == 0 || slices.Contains(field, k.Public()) {
		return nil
	}
	var ids []string
	for _, f := range field {
		ids = append(ids, KeyID(f))
	}
	return refuse("hosts would not accept it: they have the keys %s, and this one is %s; first bring its public key to them, by a release that is signed with one of theirs", strings.Join(ids, ", "), k.ID())
}

// signed returns the signature of a manifest. It is looked at as a host will do it.
func (k *Key) signed(raw []byte, m release.Manifest) ([]byte, error) {
	sig, err := k.sign(raw, comment(m))
	if err != nil {
		return nil, err
	}
	trust := release.Trust{Name: m.Name, Keys: []string{k.Public()}}
	if _, _, err := trust.Genuine(context.Background(), release.Offer{Manifest: raw, Signature: sig}); err != nil {
		return nil, refuse("%s", reason(err))
	}
	return sig, nil
}

// reason is what a host says, without its prefix.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), release.ErrNotAccepted.Error()+": ")
}

// Sign writes the signature of a manifest beside it, as FILE.minisig. The manifest is a release.json, which says itself
// what it is; or a SHA256SUMS, whose name, version and serial are those in m. It returns what was signed.
func Sign(file string, k *Key, field []string, m release.Manifest) (release.Manifest, error) {
	if err := k.CheckField(field); err != nil {
		return m, err
	}
	raw, err := readSmall(file, release.MaxManifest)
	if err != nil {
		return m, err
	}
	if isJSON(raw) {
		m, err = release.ParseManifest(raw)
	} else {
		m, err = release.ParseSums(raw, comment(m))
	}
	if err != nil {
		return m, refuse("%s: %s", file, reason(err))
	}
	sig, err := k.signed(raw, m)
	if err != nil {
		return m, err
	}
	return m, replace(file+sigSuffix, sig)
}

func isJSON(raw []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) }

// replace writes a file whole, or not at all.
func replace(file string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), newPrefix)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = finish(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// nameOf is the product that a manifest is about, before its signature is looked at. It decides nothing.
func nameOf(raw, sig []byte) (string, error) {
	if isJSON(raw) {
		m, err := release.ParseManifest(raw)
		if err != nil {
			return "", refuse("%s", reason(err))
		}
		return m.Name, nil
	}
	for line := range strings.Lines(string(sig)) {
		if words := strings.Fields(strings.TrimPrefix(line, "trusted comment: ")); len(words) == 4 && words[0] == commentWord {
			return words[1], nil
		}
	}
	return "", refuse("it is no release.json, and the signature's trusted comment is not that of a release")
}

// genuine returns a manifest that one of the keys has signed. name is empty for any product.
func genuine(ctx context.Context, raw, sig []byte, keys []string, name string) (m release.Manifest, signer string, err error) {
	if name == "" {
		if name, err = nameOf(raw, sig); err != nil {
			return m, "", err
		}
	}
	if len(keys) == 0 {
		return m, "", errors.New("no public key was given")
	}
	m, signer, err = release.Trust{Name: name, Keys: keys}.Genuine(ctx, release.Offer{Manifest: raw, Signature: sig})
	if errors.Is(err, release.ErrNotAccepted) {
		err = refuse("%s", reason(err))
	}
	return m, signer, err
}
