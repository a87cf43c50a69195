package publish

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"aead.dev/minisign"
)

var (
	// ErrPassword means that the password of a key is wrong or was not given.
	ErrPassword = errors.New("the key's password")

	errNotMinisign = errors.New("it is no key of minisign")
)

// maxKey is how large the file of a key can be, in bytes. Those of minisign have about 300.
const maxKey = 4 << 10

// Key signs releases. Its files are those of minisign, which reads and writes them, too.
type Key struct{ private minisign.PrivateKey }

// NewKey makes a key.
func NewKey() (*Key, error) {
	_, private, err := minisign.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return &Key{private}, nil
}

// ReadKey reads a private key. password is called if the file is encrypted; it may be nil if there is none. No error
// has anything of the file's text in it. To decrypt a key takes seconds and 1 GiB of memory, as minisign wants it.
func ReadKey(file string, password func() (string, error)) (*Key, error) {
	text, err := readSmall(file, maxKey)
	if err != nil {
		return nil, keyError(file, err)
	}
	text = bytes.TrimSpace(text)
	k := &Key{}
	switch {
	case minisign.IsEncrypted(text):
		if password == nil {
			return nil, keyError(file, fmt.Errorf("%w: it is encrypted, and no password was given", ErrPassword))
		}
		word, err := password()
		if err != nil {
			return nil, err
		}
		if k.private, err = minisign.DecryptKey(word, text); err != nil {
			return nil, keyError(file, fmt.Errorf("%w is wrong, or the file is damaged", ErrPassword))
		}
	case k.private.UnmarshalText(text) != nil:
		if _, err := parsePublic(string(text)); err == nil {
			return nil, keyError(file, errors.New("it is the public key, and releases are signed with the private one"))
		}
		return nil, keyError(file, errNotMinisign)
	}
	// The file of a key without a password has no checksum.
	probe := []byte("probe")
	if !minisign.Verify(k.public(), probe, minisign.Sign(k.private, probe)) {
		return nil, keyError(file, errors.New("it is damaged: its two halves do not belong together"))
	}
	return k, nil
}

// keyError names the file, unless somebody has given the key in its place.
func keyError(file string, err error) error {
	if looksSecret(file) {
		return errors.New("a private key was given in place of a file's name, and every user of this machine could see it: make another key")
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("key %s: %w", file, err)
}

// looksSecret reports whether a private key is in a text. Its line begins with the letters for the algorithms, without a
// password and with one, and is longer than that of a public key.
func looksSecret(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); len(line) > 100 && (strings.HasPrefix(line, "RWQAAEIy") || strings.HasPrefix(line, "RWRTY0Iy")) {
			return true
		}
	}
	return false
}

// readSmall reads a file that has at most limit bytes. It can be a pipe.
func readSmall(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return b, err
}

func (k *Key) public() minisign.PublicKey {
	return k.private.Public().(minisign.PublicKey)
}

// Public is the public key, as one word. It is what hosts are given.
func (k *Key) Public() string { return k.public().String() }

// ID is the number by which a signature names the key, as minisign prints it.
func (k *Key) ID() string { return idOf(k.private.ID()) }

func idOf(id uint64) string { return fmt.Sprintf("%016X", id) }

// sign returns minisign's signature of raw, and of the comment in it.
func (k *Key) sign(raw []byte, comment string) ([]byte, error) {
	r := minisign.NewReader(bytes.NewReader(raw))
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	sig := r.SignWithComments(k.private, comment, "signature from the release key "+k.ID())
	if !minisign.Verify(k.public(), raw, sig) {
		return nil, errors.New("the signature that was made is wrong: this machine miscalculates")
	}
	return sig, nil
}

// Write writes the private key to NAME.key and the public one to NAME.pub in a directory, and returns their paths. It
// never writes over a file. An empty password leaves the private key unencrypted.
func (k *Key) Write(dir, name, password string) (private, public string, err error) {
	private, public = filepath.Join(dir, name+".key"), filepath.Join(dir, name+".pub")
	text, err := k.private.MarshalText()
	if password != "" && err == nil {
		text, err = minisign.EncryptKey(password, k.private)
	}
	if err != nil {
		return "", "", err
	}
	open, err := k.public().MarshalText()
	if err != nil {
		return "", "", err
	}
	if err := create(public, append(open, '\n'), 0o644); err != nil {
		return "", "", err
	}
	if err := create(private, append(text, '\n'), 0o600); err != nil {
		os.Remove(public)
		return "", "", err
	}
	return private, public, nil
}

// create makes a file that was not there.
func create(file string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and a key is never written over", file)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(file)
	}
	return err
}

// PublicKey returns a public key of minisign, given as a word or as the name of its file.
func PublicKey(text string) (string, error) {
	if looksSecret(text) {
		return "", keyError(text, nil)
	}
	if k, err := parsePublic(text); err == nil {
		return k.String(), nil
	}
	b, err := readSmall(text, maxKey)
	if err != nil {
		return "", keyError(text, err)
	}
	k, err := parsePublic(string(b))
	switch {
	case err == nil:
		return k.String(), nil
	case looksSecret(string(b)):
		return "", keyError(text, errors.New("it is the private key, and belongs on no host; give the public one"))
	}
	return "", keyError(text, errNotMinisign)
}

func parsePublic(text string) (k minisign.PublicKey, err error) {
	err = k.UnmarshalText([]byte(strings.TrimSpace(text)))
	return k, err
}

// KeyID is the number of a public key, as minisign prints it; empty if it is none.
func KeyID(public string) string {
	k, err := parsePublic(public)
	if err != nil {
		return ""
	}
	return idOf(k.ID())
}
