package xnet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Sides of a connection.
const (
	client = iota
	server
)

const (
	headSize      = 9     // of a frame's header (RFC 9113, section 4.1)
	initialWindow = 65535 // (section 6.9.2)
	maxWindow     = 1<<31 - 1
	maxFrame      = 1 << 20 // that net/http reads
	maxTable      = 1 << 20 // a header table that package h2 follows
	maxBlock      = 64 << 10
)

// reading is what x/net's framer and header decoder read from both sides, and what RFC 9113 says that it means.
type reading struct {
	buf    [2]bytes.Buffer
	framer [2]*http2.Framer

	bad      string // why a server ends the connection; what comes behind that means nothing
	greeted  bool   // the client has said SETTINGS
	leaves   bool   // it has said GOAWAY
	last     uint32 // stream that it has opened
	open     map[uint32][2]bool
	window   [2]int64 // that a side may send
	settings [2]map[http2.SettingID]uint32
	owed     [2]int // acknowledgments of SETTINGS, by the other side
	pings    [2]int // that the other side has not answered

	table   *hpack.Decoder // of the client's header blocks
	block   []byte         // that has begun
	inside  bool           // one has
	longest int            // block
}

func newReading() *reading {
	r := &reading{open: map[uint32][2]bool{}, table: newTable()}
	for side := range r.framer {
		r.framer[side] = http2.NewFramer(io.Discard, &r.buf[side])
		r.framer[side].SetMaxReadFrameSize(maxFrame)
		r.window[side] = initialWindow
		r.settings[side] = map[http2.SettingID]uint32{}
	}
	return r
}

// newTable is a decoder with the table of a connection's beginning. Whether a table is larger than the server has
// permitted is that one's business.
func newTable() *hpack.Decoder {
	d := hpack.NewDecoder(4096, func(hpack.HeaderField) {})
	d.SetAllowedMaxDynamicTableSize(maxTable)
	return d
}

// add takes what a side says, and returns how much of it, and of what is here from before, are whole frames.
func (r *reading) add(side int, b []byte) (whole int) {
	buf := &r.buf[side]
	buf.Write(b)
	for {
		head := buf.Bytes()
		if len(head) < headSize {
			return whole
		}
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if size > maxFrame {
			r.ends("a frame of %d bytes", size)
		}
		if len(head) < headSize+size {
			return whole
		}
		whole += headSize + size
		if r.bad != "" {
			buf.Next(headSize + size)
			continue
		}
		f, err := r.framer[side].ReadFrame()
		switch {
		case err != nil:
			r.ends("%v", err)
		case side == client:
			r.client(f)
		default:
			r.server(f)
		}
	}
}

func (r *reading) ends(format string, args ...any) {
	if r.bad == "" {
		r.bad = fmt.Sprintf(format, args...)
	}
}

func (r *reading) client(f http2.Frame) {
	id, size := f.Header().StreamID, int64(f.Header().Length)
	_, first := f.(*http2.SettingsFrame)
	if !r.greeted && !first {
		r.ends("no SETTINGS")
	}
	switch f := f.(type) {
	case *http2.DataFrame:
		if r.window[client] -= size; r.window[client] < 0 {
			r.ends("DATA beyond the window")
		}
		r.isIdle(id)
		r.end(id, client, f.StreamEnded())
	case *http2.HeadersFrame:
		ended, isOpen := r.open[id]
		switch {
		case id%2 == 0:
			r.ends("stream %d", id)
		case id > r.last:
			r.last, r.open[id] = id, [2]bool{}
		case !isOpen || ended[client] || !f.StreamEnded():
			r.ends("trailers of stream %d", id)
		}
		r.end(id, client, f.StreamEnded())
		r.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.ContinuationFrame:
		r.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.RSTStreamFrame:
		r.isIdle(id)
		delete(r.open, id)
	case *http2.SettingsFrame:
		r.says(client, f)
	case *http2.WindowUpdateFrame:
		if id == 0 {
			r.gives(server, f)
		} else {
			r.isIdle(id)
		}
	case *http2.PingFrame:
		r.pinged(client, f)
	case *http2.GoAwayFrame:
		r.leaves = true
	case *http2.PushPromiseFrame:
		r.ends("a client pushes")
	}
}

func (r *reading) server(f http2.Frame) {
	id := f.Header().StreamID
	switch f := f.(type) {
	case *http2.DataFrame:
		r.window[server] -= int64(f.Length)
		r.end(id, server, f.StreamEnded())
	case *http2.HeadersFrame:
		r.end(id, server, f.StreamEnded())
	case *http2.RSTStreamFrame:
		delete(r.open, id)
	case *http2.SettingsFrame:
		r.says(server, f)
	case *http2.WindowUpdateFrame:
		if id == 0 {
			r.gives(client, f)
		}
	case *http2.PingFrame:
		r.pinged(server, f)
	}
}

func (r *reading) isIdle(id uint32) {
	if id > r.last || id%2 == 0 {
		r.ends("stream %d is idle", id)
	}
}

func (r *reading) end(id uint32, side int, ends bool) {
	ended, isOpen := r.open[id]
	if !isOpen || !ends {
		return
	}
	ended[side] = true
	r.open[id] = ended
	if ended[client] && ended[server] {
		delete(r.open, id)
	}
}

func (r *reading) fragment(b []byte, last bool) {
	r.block = append(r.block, b...)
	r.longest = max(r.longest, len(r.block))
	if r.inside = !last; r.inside {
		return
	}
	_, err := r.table.Write(r.block)
	if err == nil {
		err = r.table.Close()
	}
	if err != nil {
		r.ends("%v", err)
	}
	r.block = nil
}

func (r *reading) says(side int, f *http2.SettingsFrame) {
	if f.IsAck() {
		if r.owed[1-side]--; r.owed[1-side] < 0 {
			r.ends("an acknowledgment of nothing")
		}
		return
	}
	r.greeted = r.greeted || side == client
	r.owed[side]++
	_ = f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			r.ends("%v", err)
		}
		r.settings[side][s.ID] = s.Val
		return nil
	})
}

func (r *reading) gives(to int, f *http2.WindowUpdateFrame) {
	if r.window[to] += int64(f.Increment); r.window[to] > maxWindow {
		r.ends("a window that overflows")
	}
}

func (r *reading) pinged(side int, f *http2.PingFrame) {
	if f.IsAck() {
		r.pings[1-side] = max(r.pings[1-side]-1, 0)
	} else {
		r.pings[side]++
	}
}

// rests reports whether no stream is open, and nothing is owed or half here. What the server owes of acknowledgments it
// can be asked for.
func (r *reading) rests() bool {
	return r.greeted && !r.leaves && len(r.open) == 0 && r.owed[server] == 0 && r.pings == [2]int{} &&
		r.buf[client].Len() == 0 && !r.inside
}

// listed is the header table of a decoder, newest entry first.
func listed(d *hpack.Decoder) (fields []hpack.HeaderField) {
	const dynamic = 62 // the first index behind the static table (RFC 7541, appendix A)
	for i := uint64(dynamic); ; i++ {
		f, err := d.DecodeFull(appendInteger(nil, 0x80, 7, i))
		if err != nil {
			_ = d.Close() // so that another block can begin
			return fields
		}
		fields = append(fields, f...)
	}
}

// appendInteger appends an integer of HPACK (RFC 7541, section 5.1).
func appendInteger(b []byte, first byte, prefix uint, v uint64) []byte {
	limit := uint64(1)<<prefix - 1
	if v < limit {
		return append(b, first|byte(v))
	}
	return binary.AppendUvarint(append(b, first|byte(limit)), v-limit)
}
