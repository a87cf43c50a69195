package tls13

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
)

// maxUseless is how many records or messages in a row may bring no data: crypto/tls, maxUselessRecords.
const maxUseless = 16

// maxMessage is crypto/tls's limit of a handshake message in bytes, maxHandshake.
const maxMessage = 1 << 16

// The KeyUpdate message (RFC 8446, section 4.6.3).
const (
	messageKeyUpdate = 24
	keyUpdateSize    = 5
)

// keyUpdate asks for none in return.
var keyUpdate = []byte{messageKeyUpdate, 0, 0, 1, 0}

// Read returns what the client has sent. A timeout is the only error after which another Read can succeed.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	in := &c.in
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.plain) == 0 {
		if in.err != nil {
			return 0, in.err
		}
		if err := c.readRecord(); err != nil {
			if !isTimeout(err) {
				in.end(err)
			}
			return 0, err
		}
	}
	n := copy(b, in.plain)
	in.plain = in.plain[n:]
	in.release()
	in.notes()
	return n, nil
}

// readRecord reads the next record. Nothing is in plain.
func (c *Conn) readRecord() error {
	in := &c.in
	in.plain = nil
	in.release()
	if err := c.fill(headSize); err != nil {
		if errors.Is(err, io.EOF) && in.r < in.w {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	head := [headSize]byte(in.buf[in.r:])
	if version := uint16(head[1])<<8 | uint16(head[2]); version != tls.VersionTLS12 { // RFC 8446, section 5.1
		_ = c.alert(alertProtocolVersion)
		return headError(head, fmt.Sprintf("received record with version %x when expecting version %x", version, tls.VersionTLS12))
	}
	n := int(head[3])<<8 | int(head[4])
	if n > maxCipher {
		_ = c.alert(alertRecordOverflow)
		return headError(head, fmt.Sprintf("oversized record received with length %d", n))
	}
	if err := c.fill(headSize + n); err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	record := in.buf[in.r : in.r+headSize+n]
	in.r += len(record)
	typ, content, err := c.open(record)
	if err != nil {
		return err
	}
	if typ != typeHandshake && in.have > 0 {
		return c.alert(alertUnexpectedMessage) // not between the parts of a handshake message: section 5.1
	}
	switch typ {
	case typeData:
		if len(content) == 0 {
			return c.ignored()
		}
		in.useless = 0
		in.plain = content
		return nil
	case typeAlert:
		return c.told(content)
	case typeChangeCipherSpec:
		if len(content) != 1 || content[0] != 1 {
			return c.alert(alertDecodeError)
		}
		return c.ignored()
	case typeHandshake:
		return c.message(content)
	}
	return c.alert(alertUnexpectedMessage)
}

// open decrypts a record in its place.
func (c *Conn) open(record []byte) (typ byte, content []byte, err error) {
	h := c.in.half
	if record[0] == typeChangeCipherSpec { // it is never encrypted, and is ignored: RFC 8446, section 5, and crypto/tls
		if content = record[headSize:]; len(content) > maxPlain {
			return 0, nil, c.alert(alertRecordOverflow)
		}
		return typeChangeCipherSpec, content, nil
	}
	content, err = h.open(record[headSize:headSize], record)
	switch {
	case err != nil:
		return 0, nil, c.alert(alertBadRecordMAC)
	case record[0] != typeData:
		return 0, nil, c.alert(alertUnexpectedMessage)
	case len(content) > maxPlain+1:
		return 0, nil, c.alert(alertRecordOverflow)
	}
	h.seq++
	if len(content) == 0 {
		return typeData, nil, nil // as crypto/tls
	}
	for i := len(content) - 1; i >= 0; i-- { // the padding: section 5.4
		if content[i] != 0 {
			return content[i], content[:i], nil
		}
	}
	return 0, nil, c.alert(alertUnexpectedMessage)
}

// told is for an alert: RFC 8446, section 6.
func (c *Conn) told(content []byte) error {
	if len(content) != 2 {
		return c.alert(alertUnexpectedMessage)
	}
	switch content[1] {
	case alertCloseNotify:
		return io.EOF
	case alertUserCanceled:
		return c.ignored() // some clients say it before close_notify
	default:
		return &net.OpError{Op: "remote error", Err: tls.AlertError(content[1])}
	}
}

// message is for a part of handshake messages. A client may send no other than KeyUpdate.
func (c *Conn) message(content []byte) error {
	in := &c.in
	if len(content) == 0 {
		return c.alert(alertUnexpectedMessage)
	}
	for len(content) > 0 {
		if in.have < len(in.message) {
			in.message[in.have] = content[0]
			in.have, content = in.have+1, content[1:]
			if in.message[0] != messageKeyUpdate {
				_ = c.alert(alertUnexpectedMessage)
				return fmt.Errorf("tls: received unexpected handshake message of type %d", in.message[0])
			}
			if in.have < len(in.message) {
				continue
			}
			if n := int(in.message[1])<<16 | int(in.message[2])<<8 | int(in.message[3]); n > maxMessage {
				_ = c.alert(alertInternalError)
				return fmt.Errorf("tls: handshake message of length %d bytes exceeds maximum of %d bytes", n, maxMessage)
			} else if n != keyUpdateSize-len(in.message) {
				return c.alert(alertDecodeError)
			}
			continue
		}
		request, rest := content[0], content[1:]
		if request > 1 {
			return c.alert(alertDecodeError)
		}
		in.have = 0
		if in.useless++; in.useless > maxUseless {
			_ = c.alert(alertUnexpectedMessage)
			return errors.New("tls: too many non-advancing records")
		}
		if request == 1 {
			if err := c.answerKeyUpdate(); err != nil {
				return err
			}
		}
		if len(rest) > 0 { // it was encrypted with the old key
			_ = c.alert(alertUnexpectedMessage)
			return errors.New("tls: handshake buffer not empty before setting read traffic secret")
		}
		if err := in.half.next(); err != nil {
			return err
		}
		content = nil
	}
	return nil
}

// ignored counts a record that brings nothing.
func (c *Conn) ignored() error {
	if c.in.useless++; c.in.useless > maxUseless {
		_ = c.alert(alertUnexpectedMessage)
		return errors.New("tls: too many ignored records")
	}
	return nil
}

// fill reads until so many bytes of the next record are in the buffer.
func (c *Conn) fill(n int) error {
	in := &c.in
	for in.w-in.r < n {
		m, err := c.more(n)
		if in.w += m; err != nil && in.w-in.r < n {
			return err
		}
	}
	return nil
}

// more reads something behind what is in the buffer.
func (c *Conn) more(n int) (int, error) {
	in := &c.in
	if in.buf == nil {
		if len(in.early) == 0 {
			in.notes()
			return in.demand.read(c.below)
		}
		in.take()
		m := copy(in.buf[:], in.early)
		in.early = nil
		return m, nil
	}
	if in.r+n > len(in.buf) {
		in.r, in.w = 0, copy(in.buf[:], in.buf[in.r:in.w])
	}
	in.notes()
	return c.below.Read(in.buf[in.w:])
}

// take gets a buffer.
func (in *incoming) take() { in.buf, in.r, in.w = buffers.Get().(*[bufferSize]byte), 0, 0 }

// release gives the buffer back if nothing is in it.
func (in *incoming) release() {
	if in.buf != nil && in.r == in.w && len(in.plain) == 0 {
		in.drop()
	}
}

// drop gives the buffer back.
func (in *incoming) drop() {
	buffers.Put(in.buf)
	in.buf, in.r, in.w, in.plain = nil, 0, 0, nil
}

// end is for an error after which nothing is read.
func (in *incoming) end(err error) {
	if in.err == nil {
		in.err = err
	}
	if in.buf != nil {
		in.drop()
	}
	in.early, in.plain = nil, nil
	in.half.wipe()
	in.notes()
}

// ciphertext returns what has come and was not opened.
func (in *incoming) ciphertext() []byte {
	if in.buf == nil {
		return in.early
	}
	return in.buf[in.r:in.w]
}

// notes keeps holds.
func (in *incoming) notes() {
	if holds := in.r < in.w || len(in.early) > 0 || len(in.plain) > 0; holds != in.holds.Load() {
		in.holds.Store(holds)
	}
}

// headError is crypto/tls's.
func headError(head [headSize]byte, text string) error {
	return tls.RecordHeaderError{Msg: text, RecordHeader: head}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
