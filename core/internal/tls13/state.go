package tls13

import (
	"bytes"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// MaxState bounds an encoded state, in bytes. It has some 200 without certificates of the client and without what was read
// ahead.
const MaxState = 64 << 10

// stateVersion begins an encoded state. A state of another form gets another one.
const stateVersion = 1

// maxList is how many certificates, chains and the like there can be.
const maxList = 100

// ErrState is for bytes that are no state of a connection. It says nothing of what has come.
var ErrState = errors.New("the state of the TLS connection is not understood")

// state is what a TLS connection is, besides its socket.
type state struct {
	suite       *suite
	info        tls.ConnectionState // of which the exported fields move, without LocalCertificate
	retried     bool                // info has it as of Go 1.26
	read, write keys
	useless     int
	message     []byte // the beginning of a handshake message
	plain       []byte // opened and not read
	cipher      []byte // read from the socket and not opened
}

// keys is what a half is.
type keys struct {
	secret [maxSecret]byte
	seq    uint64
}

func (k *keys) set(h *half) { k.secret, k.seq = h.secret, h.seq }

// Format keeps the secrets out of any text.
func (*state) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// wipe forgets the secrets.
func (st *state) wipe() {
	clear(st.read.secret[:])
	clear(st.write.secret[:])
}

// maxSeq bounds the number of a record. None gets there.
const maxSeq = 1 << 62

// The bits of flags.
const (
	flagResumed = 1 << iota
	flagECH
	flagRetried
	flagsEnd
)

// append encodes the state. These follow one another: the version, what ConnectionState tells, what was read ahead, the two
// numbers and the two secrets. Numbers are as in encoding/binary's AppendUvarint, and the length precedes
// whatever has one. Certificates come once each, and lists of them are lists of numbers. The error is StaysLarge's.
func (st *state) append() ([]byte, error) {
	info, err := st.appendInfo(nil)
	if err != nil {
		return nil, err
	}
	// Secrets are not left behind in a buffer that has become too small.
	size := len(info) + len(st.message) + len(st.plain) + len(st.cipher) + 2*maxSecret + 64
	if size > MaxState {
		return nil, stays(StaysLarge)
	}
	b := append(make([]byte, 0, size), stateVersion)
	b = append(b, info...)
	b = append(b, byte(st.useless))
	for _, part := range [][]byte{st.message, st.plain, st.cipher} {
		b = appendBytes(b, part)
	}
	for _, k := range []*keys{&st.read, &st.write} {
		b = binary.AppendUvarint(b, k.seq)
		b = append(b, k.secret[:st.suite.secret]...)
	}
	return b, nil
}

// appendInfo appends what ConnectionState tells.
func (st *state) appendInfo(b []byte) ([]byte, error) {
	cs := &st.info
	var flags byte
	if cs.DidResume {
		flags |= flagResumed
	}
	if cs.ECHAccepted {
		flags |= flagECH
	}
	if st.retried {
		flags |= flagRetried
	}
	b = binary.BigEndian.AppendUint16(b, st.suite.id)
	b = append(b, flags)
	b = binary.BigEndian.AppendUint16(b, uint16(cs.CurveID))
	b = appendBytes(b, []byte(cs.NegotiatedProtocol))
	b = appendBytes(b, []byte(cs.ServerName))
	b = appendBytes(b, cs.OCSPResponse)
	b = binary.AppendUvarint(b, uint64(len(cs.SignedCertificateTimestamps)))
	for _, t := range cs.SignedCertificateTimestamps {
		b = appendBytes(b, t)
	}

	var table []*x509.Certificate
	var lists []byte
	number := func(c *x509.Certificate) uint64 {
		i := slices.IndexFunc(table, c.Equal)
		if i < 0 {
			i = len(table)
			table = append(table, c)
		}
		return uint64(i)
	}
	most := max(len(cs.SignedCertificateTimestamps), len(cs.VerifiedChains))
	lists = binary.AppendUvarint(lists, uint64(len(cs.VerifiedChains)))
	for _, chain := range append([][]*x509.Certificate{cs.PeerCertificates}, cs.VerifiedChains...) {
		most = max(most, len(chain))
		lists = binary.AppendUvarint(lists, uint64(len(chain)))
		for _, c := range chain {
			lists = binary.AppendUvarint(lists, number(c))
		}
	}
	if max(most, len(table)) > maxList {
		return nil, stays(StaysLarge)
	}
	b = binary.AppendUvarint(b, uint64(len(table)))
	for _, c := range table {
		b = appendBytes(b, c.Raw)
	}
	return append(b, lists...), nil
}

func appendBytes(b, part []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

// parse reads an encoded state, and checks that a connection can be in it here. It keeps nothing of b, and the caller
// wipes the state.
func parse(b []byte) (*state, error) {
	if err := usable(); err != nil {
		return nil, err
	}
	if len(b) == 0 || len(b) > MaxState || b[0] != stateVersion {
		return nil, ErrState
	}
	r := &reader{b: b[1:]}
	st := new(state)
	r.info(st)
	st.useless = r.number(maxUseless)
	st.message = r.bytes(len(keyUpdate) - 1)
	st.plain = r.bytes(maxPlain)
	st.cipher = r.bytes(bufferSize)
	if r.bad {
		return nil, ErrState
	}
	for _, k := range []*keys{&st.read, &st.write} {
		k.seq = r.number64(maxSeq)
		copy(k.secret[:], r.take(st.suite.secret))
	}
	if r.bad || len(r.b) > 0 || !bytes.HasPrefix(keyUpdate, st.message) || !st.isOf(b) {
		st.wipe()
		return nil, ErrState
	}
	return st, nil
}

// isOf reports whether the state is encoded as b: nothing can be said in two ways.
func (st *state) isOf(b []byte) bool {
	again, err := st.append()
	defer clear(again)
	return err == nil && subtle.ConstantTimeCompare(again, b) == 1
}

// reader reads the parts of an encoded state. When something is wrong all that follows is empty.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number(limit int) int { return int(r.number64(uint64(limit))) }

func (r *reader) number64(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// take returns n bytes, not copied.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// bytes returns a copy of a part that is no longer than limit; nil if it is empty.
func (r *reader) bytes(limit int) []byte {
	n := r.number(limit)
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	return append([]byte(nil), r.take(n)...)
}

func (r *reader) number16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }

// info reads what ConnectionState tells.
func (r *reader) info(st *state) {
	cs := &st.info
	cs.Version, cs.HandshakeComplete = tls.VersionTLS13, true
	cs.NegotiatedProtocolIsMutual = true //nolint:staticcheck // it is what crypto/tls says
	cs.CipherSuite = r.number16()
	if st.suite = suiteOf(cs.CipherSuite); st.suite == nil {
		r.bad = true
		return
	}
	flags := r.take(1)[0]
	r.bad = r.bad || flags >= flagsEnd
	cs.DidResume, cs.ECHAccepted = flags&flagResumed != 0, flags&flagECH != 0
	st.retried = flags&flagRetried != 0
	setRetried(cs, st.retried)
	cs.CurveID = tls.CurveID(r.number16())
	cs.NegotiatedProtocol = string(r.bytes(MaxState))
	cs.ServerName = string(r.bytes(MaxState))
	cs.OCSPResponse = r.bytes(MaxState)
	for range r.number(maxList) {
		cs.SignedCertificateTimestamps = append(cs.SignedCertificateTimestamps, r.bytes(MaxState))
	}
	table := make([]*x509.Certificate, r.number(maxList))
	for i := range table {
		var err error
		if table[i], err = x509.ParseCertificate(r.bytes(MaxState)); err != nil {
			r.bad = true
			return
		}
	}
	chains := r.number(maxList)
	cs.PeerCertificates = r.list(table)
	for range chains {
		cs.VerifiedChains = append(cs.VerifiedChains, r.list(table))
	}
}

// list reads a list of certificates of the table.
func (r *reader) list(table []*x509.Certificate) (chain []*x509.Certificate) {
	for range r.number(maxList) {
		if i := r.number(maxList); i < len(table) {
			chain = append(chain, table[i])
		} else {
			r.bad = true
		}
	}
	return chain
}
