package tickets

import (
	"crypto/hkdf"
	"crypto/sha256"
)

// derive makes the key of a server of the service's.
func (x *key) derive(label string, to *[size]byte) error {
	b, err := hkdf.Expand(sha256.New, x.secret[:], "gracex session tickets "+label, size)
	if err != nil {
		return err
	}
	copy(to[:], b)
	clear(b)
	return nil
}
