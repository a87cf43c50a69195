package tls13

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"slices"
)

// The types of records (RFC 8446, section 5.1).
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeData             = 23
)

// Sizes in bytes (RFC 8446, sections 5.1, 5.2 and 5.3).
const (
	headSize  = 5
	maxPlain  = 1 << 14
	maxCipher = maxPlain + 256
	tagSize   = 16
	ivSize    = 12
	maxSecret = sha512.Size384
)

// keyLimit is how many records are encrypted with one key. RFC 8446, section 5.5, permits 2^24.5 full ones with AES-GCM.
const keyLimit = 1 << 24

// suite is a cipher suite.
type suite struct {
	id      uint16
	hash    func() hash.Hash
	secret  int // size of a secret in bytes
	keySize int // in bytes
}

// suites has those that move. crypto/tls has ChaCha20-Poly1305, too, which no package of the standard library exports.
var suites = []*suite{
	{tls.TLS_AES_128_GCM_SHA256, sha256.New, sha256.Size, 16},
	{tls.TLS_AES_256_GCM_SHA384, sha512.New384, sha512.Size384, 32},
}

// suiteOf returns nil if it does not move.
func suiteOf(id uint16) *suite {
	for _, s := range suites {
		if s.id == id {
			return s
		}
	}
	return nil
}

// half is one direction of a connection. Make it with newHalf.
type half struct {
	suite  *suite
	secret [maxSecret]byte // of which suite.secret bytes are used
	seq    uint64          // of the next record
	aead   cipher.AEAD
	iv     [ivSize]byte
	nonce  [ivSize]byte // of the record at hand: it would escape otherwise
}

// newHalf copies the secret.
func newHalf(s *suite, secret []byte, seq uint64) (*half, error) {
	h := &half{suite: s, seq: seq}
	copy(h.secret[:], secret)
	if err := h.key(); err != nil {
		return nil, err
	}
	return h, nil
}

// Format keeps the secret out of any text.
func (*half) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// own returns the secret, not a copy.
func (h *half) own() []byte { return h.secret[:h.suite.secret] }

// key makes the key of the secret: RFC 8446, section 7.3.
func (h *half) key() error {
	key, err := h.expand("key", h.suite.keySize)
	if err != nil {
		return err
	}
	defer clear(key)
	iv, err := h.expand("iv", ivSize)
	if err != nil {
		return err
	}
	defer clear(iv)
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	if h.aead, err = cipher.NewGCM(block); err != nil {
		return err
	}
	copy(h.iv[:], iv)
	return nil
}

// next is the key after a KeyUpdate: RFC 8446, section 7.2.
func (h *half) next() error {
	secret, err := h.expand("traffic upd", h.suite.secret)
	if err != nil {
		return err
	}
	defer clear(secret)
	copy(h.secret[:], secret)
	h.seq = 0
	return h.key()
}

// expand is HKDF-Expand-Label without a context: RFC 8446, section 7.1.
func (h *half) expand(label string, n int) ([]byte, error) {
	info := make([]byte, 0, 32)
	info = binary.BigEndian.AppendUint16(info, uint16(n))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "...)
	info = append(info, label...)
	info = append(info, 0)
	return hkdf.Expand(h.suite.hash, h.own(), string(info), n)
}

// nonceOf is RFC 8446, section 5.3. It is good until the next call.
func (h *half) nonceOf(seq uint64) []byte {
	h.nonce = h.iv
	n := h.nonce[ivSize-8:]
	binary.BigEndian.PutUint64(n, binary.BigEndian.Uint64(n)^seq)
	return h.nonce[:]
}

// open decrypts a record with its head, and appends the content and its type to dst, which may be the record's own
// payload[:0].
func (h *half) open(dst, record []byte) ([]byte, error) {
	return h.aead.Open(dst, h.nonceOf(h.seq), record[headSize:], record[:headSize])
}

// sealed is the size of a record with so much content, in bytes.
func sealed(content int) int { return headSize + content + 1 + tagSize }

// seal appends a record. The number of the record is used up, whatever becomes of it.
func (h *half) seal(dst []byte, typ byte, content []byte) []byte {
	dst = slices.Grow(dst, sealed(len(content)))
	n := sealed(len(content)) - headSize
	at := len(dst)
	dst = append(dst, typeData, 3, 3, byte(n>>8), byte(n))
	body := len(dst)
	dst = append(dst, content...)
	dst = append(dst, typ)
	nonce := h.nonceOf(h.seq)
	h.seq++
	h.aead.Seal(dst[body:body], nonce, dst[body:], dst[at:body]) // there is room
	return dst[:at+sealed(len(content))]
}

// wipe forgets the secret.
func (h *half) wipe() {
	clear(h.secret[:])
	clear(h.iv[:])
	clear(h.nonce[:])
	h.aead = nil
}
