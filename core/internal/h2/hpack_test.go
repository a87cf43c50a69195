package h2

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// codeLens are the lengths of the symbols' codes, in bits (RFC 7541, appendix B).
var codeLens = [256]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
}

// symbols are their codes.
var symbols = func() (codes [256]uint32) {
	code := uint32(0)
	for size := uint8(1); size <= maxCode; size++ {
		code <<= 1
		for s, n := range codeLens {
			if n == size {
				codes[s] = code
				code++
			}
		}
	}
	return codes
}()

// encode is a string of a header block, in the Huffman code if that is wanted.
func encode(s string, huff bool) []byte {
	if !huff {
		return append(appendInteger(nil, 0, 7, uint32(len(s))), s...)
	}
	var out []byte
	var bits uint64
	n := 0
	for _, c := range []byte(s) {
		bits, n = bits<<codeLens[c]|uint64(symbols[c]), n+int(codeLens[c])
		for n >= 8 {
			out = append(out, byte(bits>>(n-8)))
			n -= 8
		}
	}
	if n > 0 {
		out = append(out, byte(bits<<(8-n))|byte(0xff>>n))
	}
	return append(appendInteger(nil, huffman, 7, uint32(len(out))), out...)
}

func TestDecodedLen(t *testing.T) {
	t.Parallel()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	rare := strings.Repeat("\x16", 40) // 30 bits
	for _, s := range []string{"", "a", "www.example.com", string(all), rare, strings.Repeat("0", 1000)} {
		b, err := readText(encode(s, true))
		must.Do(t, err)
		if n := b.len(); n != len(s) || b.least() > n {
			t.Errorf("%d bytes are taken for %d, at least %d", len(s), n, b.least())
		}
	}
}

// TestTable_DropsWhatHasLeft: what strings in the Huffman code take is what they are decoded to.
func TestTable_DropsWhatHasLeft(t *testing.T) {
	t.Parallel()
	table := newTable()
	value := strings.Repeat("w", 299)
	for i := range 40 {
		block := append(append([]byte{insertion}, encode(string(rune('a'+i%26)), true)...), encode(value, true)...)
		must.Do(t, table.follow(block))
	}
	const each = 1 + 299 + entryOverhead
	if size := table.settle(); size != initialTableSize/each*each || len(table.entries) != initialTableSize/each {
		t.Errorf("%d entries take %d", len(table.entries), size)
	}
	must.Do(t, table.follow([]byte{sizeUpdate | 31, 0xe1, 0x03, sizeUpdate | 31, 0xe1, 0x1f})) // 512, 4096
	if len(table.entries) != 1 {
		t.Errorf("%d entries have stayed in 512 bytes", len(table.entries))
	}
}

// twin is a server of net/http's, which says what a request's header was.
type twin struct {
	*probe
	last  uint32
	asked chan http.Header
}

func newTwin() *twin {
	w := &twin{asked: make(chan http.Header, 1), last: 1}
	w.probe = newProbeOf(DoorClear, newGreeted, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		r.Header.Set("Path", r.URL.Path)
		w.asked <- r.Header
	})})
	_, _ = w.nc.Write(appendFrame([]byte(Preface), typeSettings, 0, 0))
	return w
}

// ask sends a request with this header block, and returns its header; nil if the server ends the connection.
func (w *twin) ask(block []byte) http.Header {
	b := appendBlock(nil, w.last, block)
	w.last += 2
	if _, err := w.nc.Write(b); err != nil {
		return nil
	}
	handled := false
	for f := range w.frames {
		if f.head.kind() == typeHeaders && f.head.stream() == w.last-2 {
			handled = f.payload[0] == 0x88 // 200
		}
		switch {
		case f.head.kind() == typeGoAway:
			return nil
		case f.head.kind() == typeReset && f.head.stream() == w.last-2:
			return http.Header{}
		case f.answers() && f.head.stream() == w.last-2:
			if handled {
				return <-w.asked
			}
			return http.Header{}
		}
	}
	return nil
}

// tell sends a request whose trailers are this block.
func (w *twin) tell(block []byte) {
	b := appendFrame(nil, typeHeaders, flagEndHeaders, w.last, historyRequest...)
	_, _ = w.nc.Write(appendBlock(b, w.last, block))
	w.last += 2
	for f := range w.frames {
		if f.head.stream() == w.last-2 && (f.answers() || f.head.kind() == typeReset) {
			break
		}
	}
	<-w.asked
}

// blocks makes header blocks of requests from any bytes.
func blocks(b []byte) (all [][]byte) {
	next := func() int {
		if len(b) == 0 {
			return 0
		}
		c := b[0]
		b = b[1:]
		return int(c)
	}
	names := []string{"x", "x-long-name-" + strings.Repeat("n", 40), "cookie", "~"}
	values := []string{"", "v", strings.Repeat("w", 300), strings.Repeat("\x7f\x16"[1:], 1) + "q", strings.Repeat("0", 900), "~~~{}|"}
	for len(b) > 0 && len(all) < 12 {
		var block []byte
		for range next() % 3 {
			block = appendInteger(block, sizeUpdate, 5, []uint32{0, 100, 1000, 4096, 500, 2048}[next()%6])
		}
		block = append(block, 0x82, 0x86)
		if next()%2 == 0 {
			block = append(block, 0x84)
		} else {
			block = append(append(block, insertion|4), encode(fmt.Sprintf("/%d", next()), next()%2 == 0)...)
		}
		for range next() % 8 {
			op, huff := next(), next()%2 == 0
			first, prefix := byte(insertion), uint(6)
			if op%5 == 0 {
				first, prefix = []byte{0, 0x10}[op/5%2], 4
			}
			switch op >> 4 % 3 {
			case 0:
				block = append(append(block, first), encode(names[next()%len(names)], huff)...)
			case 1:
				block = appendInteger(block, first, prefix, uint32(19+next()%40))
			case 2:
				block = appendInteger(block, first, prefix, uint32(62+next()%8))
			}
			block = append(block, encode(values[next()%len(values)]+fmt.Sprint(next()), next()%2 == 0)...)
		}
		for range next() % 3 {
			block = append(block, 0x80|byte(62+next()%20))
		}
		all = append(all, block)
	}
	return all
}

// FuzzTable_IsNetHTTPs: a server that is told the table takes a request as the one does that has had
// the requests.
func FuzzTable_IsNetHTTPs(f *testing.F) {
	f.Add([]byte{0, 1, 5, 0, 7, 0x11, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x21, 4, 3, 2, 1})
	f.Add(bytes.Repeat([]byte{1, 3, 1, 7, 0x12, 3, 0x22, 9, 5, 2, 1, 0x01}, 12))
	f.Add(bytes.Repeat([]byte{2, 4, 1, 5, 0x31, 4, 4, 7, 7, 2, 0, 1}, 20))
	f.Add(bytes.Repeat([]byte{0, 0, 7, 1, 0, 1, 4, 1, 1}, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := newTwin()
		defer a.close()
		table := newTable()
		for _, block := range blocks(b) {
			if a.ask(block) == nil {
				return // the server has ended the connection
			}
			if err := table.follow(block); err != nil {
				t.Fatalf("%v: % x", err, block)
			}
		}
		again := newTable()
		must.Do(t, again.follow(table.retell()))
		if !bytes.Equal(again.retell(), table.retell()) || again.settle() != table.settle() {
			t.Fatalf("% x, % x", again.retell(), table.retell())
		}
		other := newTwin()
		defer other.close()
		other.tell(table.retell())
		// All that the table has, and what it does not have.
		var regular, pseudo []byte
		for i := range table.entries {
			at := table.entries[len(table.entries)-1-i].at
			if index := appendInteger(nil, 0x80, 7, uint32(62+i)); table.block[at] == insertion|4 {
				pseudo = index
			} else {
				regular = append(regular, index...)
			}
		}
		if pseudo == nil {
			pseudo = []byte{0x84}
		}
		block := slices.Concat([]byte{0x82, 0x86}, pseudo, regular)
		one, two := a.ask(block), other.ask(block)
		if one == nil || two == nil || fmt.Sprint(one) != fmt.Sprint(two) {
			t.Fatalf("%d entries: %v, not %v\n% x", len(table.entries), two, one, block)
		}
		block = appendInteger([]byte{0x82, 0x86, 0x84}, 0x80, 7, uint32(62+len(table.entries)))
		if one, two := a.ask(block), other.ask(block); one != nil || two != nil {
			t.Fatalf("more than %d entries: %v, %v\n% x\n% x", len(table.entries), one, two, table.retell(), blocks(b))
		}
	})
}

// FuzzTable_Raw: any bytes are followed, or not, and the table keeps to its size.
func FuzzTable_Raw(f *testing.F) {
	f.Add(probeTable)
	f.Add([]byte{0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x41, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		table := newTable()
		for at := 0; at < len(b); at += 50 {
			if table.follow(b[at:min(at+50, len(b))]) != nil {
				break
			}
			if table.least > uint64(table.max) || len(table.entries) > int(table.max/entryOverhead) {
				t.Fatalf("it has %d entries of %d at least, and room for %d", len(table.entries), table.least, table.max)
			}
		}
		size := table.settle()
		again := newTable()
		if err := again.follow(table.retell()); err != nil || again.settle() != size || !bytes.Equal(again.retell(), table.retell()) {
			t.Fatalf("%v: % x, not % x", err, again.retell(), table.retell())
		}
	})
}
