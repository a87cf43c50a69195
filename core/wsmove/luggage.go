package wsmove

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// handoffPrefix is that of the names by which the connections are handed off. It has the version of luggage's form: a
// process that does not know the form refuses the connection.
const handoffPrefix = wire.PrefixWebSocket + "1:"

// Together all of it is less than core.MaxHandoffState.
const (
	maxUnread  = 32 << 10
	maxUnsent  = 32 << 10
	maxRequest = 24 << 10
	maxMeta    = 4 << 10 // of the answer to the handshake, above all

	// MaxState is how much OnMove's function may return, in bytes.
	MaxState = 32 << 10
)

// luggage is what goes along with a connection.
type luggage struct {
	meta
	request []byte // its head, as the client has sent it
	unread  []byte // of messages that the library has not returned
	unsent  []byte // of a message that the client had no room for
	state   []byte // the program's
}

// meta is the part of it that is JSON, for versions that add to it.
type meta struct {
	Batch      uint64 `json:"batch,omitempty"`    // of those that move together
	Together   int    `json:"together,omitempty"` // how many these are; 0 is one that moves alone
	Protocol   string `json:"protocol,omitempty"`
	Extensions string `json:"extensions,omitempty"`
	Sizes      [4]int `json:"sizes"` // of the other parts, in order
}

var errLuggage = errors.New("the state has another form")

func (l *luggage) parts() [4]*[]byte { return [...]*[]byte{&l.request, &l.unread, &l.unsent, &l.state} }

// encode returns the size of meta in 4 bytes, meta and the parts.
func (l *luggage) encode() ([]byte, error) {
	for i, p := range l.parts() {
		l.Sizes[i] = len(*p)
	}
	m, err := json.Marshal(l.meta)
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(m)))
	b = append(b, m...)
	for _, p := range l.parts() {
		b = append(b, *p...)
	}
	return b, nil
}

// decodeLuggage reads what encode has returned.
func decodeLuggage(b []byte) (*luggage, error) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, errLuggage
	}
	n := binary.BigEndian.Uint32(b)
	l := &luggage{}
	if err := json.Unmarshal(b[4:4+n], &l.meta); err != nil {
		return nil, fmt.Errorf("%w: %w", errLuggage, err)
	}
	b = b[4+n:]
	for i, p := range l.parts() {
		if l.Sizes[i] < 0 || l.Sizes[i] > len(b) {
			return nil, errLuggage
		}
		*p, b = b[:l.Sizes[i]:l.Sizes[i]], b[l.Sizes[i]:]
	}
	if len(b) > 0 || l.Together < 0 {
		return nil, errLuggage
	}
	return l, nil
}

// headOf returns the head of a request. The text of it, and not JSON, keeps every byte of a header.
func headOf(r *http.Request) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", r.Method, r.RequestURI, r.Proto, r.Host)
	_ = r.Header.Write(&b) // to memory
	b.WriteString("\r\n")
	return b.Bytes()
}

// requestOf reads what headOf has returned.
func requestOf(head []byte) (*http.Request, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return nil, err
	}
	r.Body, r.ContentLength = http.NoBody, 0
	return r, nil
}
