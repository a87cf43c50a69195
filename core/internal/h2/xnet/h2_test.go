package xnet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/internal/must"
)

// seeds are scripts that reach most of what a conversation can have.
func seeds() (all [][]byte) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		b := make([]byte, 40+20*i)
		for j := range b {
			b[j] = byte(rng.Uint32())
		}
		all = append(all, b)
	}
	return all
}

// FuzzConn_IsXNets: after any conversation a connection can move if, by x/net's reading of the same bytes, it is at rest. Then
// what goes along is what x/net has read.
func FuzzConn_IsXNets(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k := newTalk(t, b)
		must.Do(t, k.framer[server].WriteSettings(k.someSettings()...))
		k.flush(server)
		if k.below(16) > 0 {
			must.Do(t, k.framer[client].WriteSettings(k.someSettings()...))
			k.flush(client)
		}
		for n := 0; len(k.b) > 0 && n < 300; n++ {
			if k.below(2) == 0 {
				k.clientSays()
			} else {
				k.serverSays()
			}
		}
		if k.below(4) > 0 {
			k.tidy()
		}
		k.compare()
	})
}

// FuzzTable_IsXNets: of any header blocks, each in a request, the table that goes along is the one that x/net's decoder has.
func FuzzTable_IsXNets(f *testing.F) {
	for _, b := range seeds()[:20] {
		k := newTalk(f, b)
		var blocks []byte
		for range 1 + k.below(8) {
			h := k.header()
			blocks = append(binary.BigEndian.AppendUint16(blocks, uint16(len(h))), h...)
		}
		f.Add(blocks)
	}
	f.Add([]byte("\x00\x03\x3f\xe1\x1f\x00\x04\x40\x01a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := newTalk(t, nil)
		k.wire.piece = 1 << 20
		must.Do(t, k.framer[server].WriteSettings())
		must.Do(t, k.framer[client].WriteSettings())
		k.flush(server)
		for len(b) >= 2 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			must.Do(t, k.framer[client].WriteHeaders(http2.HeadersFrameParam{
				StreamID: k.stream, BlockFragment: b[2 : 2+n], EndStream: true, EndHeaders: true,
			}))
			k.stream += 2
			b = b[2+n:]
		}
		k.flush(client)
		k.tidy()
		k.compare()
	})
}

// compare has the connection move, and compares.
func (k *talk) compare() {
	t, r := k.t, k.reading
	t.Helper()
	k.wire.in.Write(k.held)
	k.pump()
	if r.bad != "" {
		k.move() // whatever comes of it
		return
	}
	if !bytes.HasPrefix(k.sent, k.told) || len(k.sent)-len(k.told) >= headSize+8 {
		t.Fatalf("the server reads % x, not % x", k.told, k.sent)
	}
	if !bytes.Equal(k.wire.out.Bytes(), k.written) {
		t.Fatalf("the client reads % x, not % x", k.wire.out.Bytes(), k.written)
	}
	st, stays := k.move()
	if (st != nil) != r.rests() {
		if st == nil && k.mayStay(stays) {
			return
		}
		t.Fatalf("it moves: %v (%q); it is at rest: %v", st != nil, stays, r.rests())
	}
	if st == nil {
		return
	}
	encoded := st.Append(nil)
	if _, err := h2.ParseState(encoded); err != nil {
		t.Fatalf("%v: % x", err, encoded)
	}
	if st.Last != r.last || int64(st.Send) != r.window[server] || int64(st.Receive) != r.window[client] {
		t.Fatalf("stream %d, windows %d and %d; x/net: %d, %d and %d",
			st.Last, st.Send, st.Receive, r.last, r.window[server], r.window[client])
	}
	all := settingsIn(encoded)
	for side := range all {
		maps.DeleteFunc(r.settings[side], func(id http2.SettingID, _ uint32) bool { return id == 0 || id >= 10 }) // nobody's
		if !maps.Equal(all[side], r.settings[side]) {
			t.Fatalf("SETTINGS %v; x/net: %v", all[side], r.settings[side])
		}
	}
	compareTables(t, st.Table, r.table)
}

// move has the connection move, and returns its state, or why it stays.
func (k *talk) move() (st *h2.State, stays string) {
	took := &taker{}
	k.conn.Move(took, h2.Pace{Patience: time.Hour})
	defer k.conn.Move(&taker{}, h2.Pace{}) // so that its timer ends
	k.told = nil
	for took.st == nil && took.stays == "" {
		b := make([]byte, 100)
		n, err := k.conn.Read(b)
		if k.told = append(k.told, b[:n]...); err != nil {
			break
		}
		if ping := k.told; len(ping) == headSize+8 && ping[3] == byte(http2.FramePing) && ping[4] == 0 {
			// It asks what the server has acknowledged.
			ping[4] = byte(http2.FlagPingAck)
			_, _ = k.conn.Write(ping)
			k.told = nil
		}
	}
	return took.st, took.stays
}

// mayStay reports whether a connection at rest may stay for that.
func (k *talk) mayStay(why string) bool {
	switch why {
	case "its header blocks are not understood": // integers with zeros in front
		return k.longIntegers()
	case "a header block is too large":
		return k.reading.longest > maxBlock
	case "its state is too large":
		return len(listed(k.reading.table)) > 100 || tableSize(k.reading.table) > h2.MaxState/2
	}
	return false
}

// longIntegers reports whether the client may have said an integer in more bytes than anybody needs.
func (k *talk) longIntegers() bool { return bytes.Contains(k.sent, []byte{0x80, 0x80}) }

func tableSize(d *hpack.Decoder) (n int) {
	for _, f := range listed(d) {
		n += int(f.Size())
	}
	return n
}

// settingsIn are those in an encoded state, by side.
func settingsIn(b []byte) (all [2]map[http2.SettingID]uint32) {
	b = b[1:]
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	for range 3 {
		next()
	}
	for side := range all {
		all[side] = map[http2.SettingID]uint32{}
		for id := next(); id != 0; id = next() {
			all[side][http2.SettingID(id)] = uint32(next())
		}
	}
	return all
}

// compareTables compares what a header block makes of an empty table with one, now and when more is added.
func compareTables(t testing.TB, block []byte, theirs *hpack.Decoder) {
	t.Helper()
	ours := newTable()
	if _, err := ours.DecodeFull(block); err != nil {
		t.Fatalf("%v: % x", err, block)
	}
	size := uint64(block[0] & 0x1f)
	if size == 0x1f {
		more, _ := binary.Uvarint(block[1:])
		size += more
	}
	const overhead = 32 // of an entry (RFC 7541, section 4.1)
	filler := append([]byte{0x40, 1, 'f'}, appendInteger(nil, 0, 7, max(size/2, overhead+1)-overhead-1)...)
	filler = append(filler, make([]byte, max(size/2, overhead+1)-overhead-1)...)
	for n := range 4 {
		if one, two := listed(ours), listed(theirs); fmt.Sprint(one) != fmt.Sprint(two) {
			t.Fatalf("a table of %d, %d times filled up, has %v; x/net: %v\n% x", size, n, one, two, block)
		}
		for _, d := range []*hpack.Decoder{ours, theirs} {
			_, err := d.DecodeFull(filler)
			must.Do(t, err)
		}
	}
}
