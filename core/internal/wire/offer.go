package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// An Offer that has TLS connections has more than JSON: a NUL byte, and then the states of those connections, one behind
// the other. They are secrets, and package encoding/json keeps buffers of what it has encoded. Only a process that takes
// TakesTLS gets such an offer.

// AppendOffer appends an Offer. Secrets has the state of each TLS connection of msg, in its order. The caller clears it,
// and the frame.
func AppendOffer(b []byte, msg OfferMsg, secrets [][]byte) ([]byte, error) {
	if len(secrets) == 0 {
		return Append(b, Offer, msg)
	}
	said, err := json.Marshal(msg)
	if err != nil {
		return b, err
	}
	size := len(said) + 1
	for _, s := range secrets {
		size += len(s)
	}
	payload := append(make([]byte, 0, size), said...)
	payload = append(payload, 0)
	for _, s := range secrets {
		payload = append(payload, s...)
	}
	defer clear(payload)
	return AppendRaw(b, Offer, payload)
}

// DecodeOffer reads an Offer. Secrets has an entry for each of its connections, nil for one without TLS. They are parts of
// the frame's payload, which the caller clears.
func (f Frame) DecodeOffer() (msg OfferMsg, secrets [][]byte, err error) {
	said, rest, _ := bytes.Cut(f.Payload, []byte{0})
	if err := (Frame{Type: f.Type, Payload: said}).Decode(&msg); err != nil {
		return msg, nil, err
	}
	secrets = make([][]byte, len(msg.Conns))
	for i, c := range msg.Conns {
		if c.TLS < 0 || c.TLS > len(rest) {
			return msg, nil, fmt.Errorf("%w: payload of %v: a state of %d bytes, of %d", ErrGarbage, f.Type, c.TLS, len(rest))
		}
		if c.TLS > 0 {
			secrets[i], rest = rest[:c.TLS:c.TLS], rest[c.TLS:]
		}
	}
	if len(rest) > 0 {
		return msg, nil, fmt.Errorf("%w: payload of %v: %d bytes too many", ErrGarbage, f.Type, len(rest))
	}
	return msg, secrets, nil
}
