package h2

import "errors"

// Constants of HPACK (RFC 7541).
const (
	initialTableSize = 4096 // until SETTINGS say otherwise (RFC 9113, section 6.5.2)
	entryOverhead    = 32   // of an entry, beside its name and value (section 4.1)
	staticEntries    = 61   // of the static table (appendix A)

	insertion  = 0x40 // a literal that is added to the table (section 6.2.1)
	sizeUpdate = 0x20 // (section 6.3)
	huffman    = 0x80 // a string is in the Huffman code (section 5.2)
)

// maxTable bounds the size of a header table that is followed.
const maxTable = 1 << 20

// errHPACK is for a header block that can't be followed. The server says what is wrong with it.
var errHPACK = errors.New("its header blocks are not understood")

// staticNames are the lengths of the names in the static table (appendix A).
var staticNames = [staticEntries + 1]uint8{
	0, 10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13, 12,
	6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3, 16,
}

// table is the header table that a client's encoder has, which the decoder of the next server has to have. Only
// insertions and size updates change it; all else in a header block is skipped.
//
// An entry is kept as the instruction that inserts it: the whole is a header block that makes the same table of an
// empty one. Strings stay in the Huffman code. What an entry takes in the table is known only when they are decoded, so
// entries are dropped here when it is certain that they have left the table, and settle drops the others.
type table struct {
	max     uint32
	block   []byte // the instructions, oldest first, from entries[0] on
	entries []entry
	least   uint64 // what the entries take in the table at the least
}

// entry is an entry of the table.
type entry struct {
	at    int    // of its instruction in block
	least uint32 // what it takes in the table at the least
}

// newTable is the table at the beginning of a connection.
func newTable() table { return table{max: initialTableSize} }

// follow changes the table as a whole header block does.
func (t *table) follow(b []byte) error {
	for len(b) > 0 {
		var n int
		var err error
		switch c := b[0]; {
		case c&0x80 != 0: // indexed
			_, n, err = integer(b, 7)
		case c&0xc0 == insertion:
			n, err = t.insert(b)
		case c&0xe0 == sizeUpdate:
			var size uint32
			if size, n, err = integer(b, 5); err == nil {
				err = t.resize(size)
			}
		default: // literals that are not added
			n, _, err = literal(b, 4)
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// insert adds the literal that b begins with, and returns its length.
func (t *table) insert(b []byte) (int, error) {
	n, l, err := literal(b, 6)
	if err != nil {
		return 0, err
	}
	at := len(t.block)
	if l.index <= staticEntries {
		t.block = append(t.block, b[:n]...)
	} else {
		from := len(t.entries) - int(l.index-staticEntries)
		if from < 0 {
			return 0, errHPACK
		}
		other := t.block[t.entries[from].at:]
		m, o, err := literal(other, 6)
		if err != nil {
			return 0, err
		}
		l.name, l.index = o.name, o.index
		t.block = append(t.block, other[:m-o.value.size]...) // its name
		t.block = append(t.block, b[n-l.value.size:n]...)
	}
	e := entry{at, uint32(min(entryOverhead+uint64(l.nameLen(text.least))+uint64(l.value.least()), maxTable+1))}
	t.entries = append(t.entries, e)
	t.least += uint64(e.least)
	drop := 0
	for least := t.least; least > uint64(t.max); drop++ {
		least -= uint64(t.entries[drop].least)
	}
	t.drop(drop)
	return n, nil
}

// resize is a size update.
func (t *table) resize(size uint32) error {
	if size > maxTable {
		return errHPACK
	}
	t.settle()
	t.max = size
	t.settle()
	return nil
}

// settle drops the entries that are not in the table any more, and returns how much is in it.
func (t *table) settle() (size uint64) {
	for i := len(t.entries) - 1; i >= 0; i-- {
		_, l, err := literal(t.block[t.entries[i].at:], 6)
		if err != nil {
			t.drop(i + 1) // it was one when it came
			break
		}
		n := entryOverhead + uint64(l.nameLen(text.len)) + uint64(l.value.len())
		if size+n > uint64(t.max) {
			t.drop(i + 1)
			break
		}
		size += n
	}
	return size
}

// drop drops the n oldest entries.
func (t *table) drop(n int) {
	if n == 0 {
		return
	}
	for _, e := range t.entries[:n] {
		t.least -= uint64(e.least)
	}
	cut := len(t.block)
	if n < len(t.entries) {
		cut = t.entries[n].at
	}
	if n < len(t.entries) && cut < len(t.block)/2 && cut < initialTableSize {
		// The rest is moved when that is worth it.
		t.entries = t.entries[:copy(t.entries, t.entries[n:])]
		return
	}
	t.block = t.block[:copy(t.block, t.block[cut:])]
	t.entries = t.entries[:copy(t.entries, t.entries[n:])]
	for i := range t.entries {
		t.entries[i].at -= cut
	}
}

// retell returns a header block that makes the same table of an empty one, whatever that one's size is.
func (t *table) retell() []byte {
	t.settle()
	b := appendInteger(nil, sizeUpdate, 5, t.max)
	if len(t.entries) > 0 {
		b = append(b, t.block[t.entries[0].at:]...)
	}
	return b
}

// text is a string of a header block, and where it ends.
type text struct {
	raw  []byte
	huff bool
	size int // with its length
}

func (s text) len() int {
	if s.huff {
		return decodedLen(s.raw)
	}
	return len(s.raw)
}

func (s text) least() int {
	if s.huff {
		return minDecodedLen(len(s.raw))
	}
	return len(s.raw)
}

// field is a literal field.
type field struct {
	index       uint32 // of its name in a table; 0: name
	name, value text
}

// nameLen is how long its name is, which is not in the dynamic table.
func (l *field) nameLen(of func(text) int) int {
	if l.index > 0 {
		return int(staticNames[l.index])
	}
	return of(l.name)
}

// literal reads the literal that b begins with, whose index has a prefix of that many bits, and returns its length.
func literal(b []byte, prefix uint) (n int, l field, err error) {
	if l.index, n, err = integer(b, prefix); err != nil {
		return 0, l, err
	}
	if l.index == 0 {
		if l.name, err = readText(b[n:]); err != nil {
			return 0, l, err
		}
		n += l.name.size
	}
	if l.value, err = readText(b[n:]); err != nil {
		return 0, l, err
	}
	return n + l.value.size, l, nil
}

func readText(b []byte) (text, error) {
	size, n, err := integer(b, 7)
	if err != nil || uint64(size) > uint64(len(b)-n) {
		return text{}, errHPACK
	}
	end := n + int(size)
	return text{raw: b[n:end], huff: b[0]&huffman != 0, size: end}, nil
}

// integer reads the integer that b begins with (section 5.1), and returns its length.
func integer(b []byte, prefix uint) (v uint32, n int, err error) {
	if len(b) == 0 {
		return 0, 0, errHPACK
	}
	limit := uint32(1)<<prefix - 1
	if v = uint32(b[0]) & limit; v < limit {
		return v, 1, nil
	}
	long := uint64(v)
	for i, shift := 1, uint(0); i < len(b) && shift <= 28; i, shift = i+1, shift+7 {
		if long += uint64(b[i]&0x7f) << shift; long > 1<<32-1 {
			break
		}
		if b[i]&0x80 == 0 {
			return uint32(long), i + 1, nil
		}
	}
	return 0, 0, errHPACK
}

// appendInteger appends an integer (section 5.1). The bits before the prefix are first's.
func appendInteger(b []byte, first byte, prefix uint, v uint32) []byte {
	limit := uint32(1)<<prefix - 1
	if v < limit {
		return append(b, first|byte(v))
	}
	b = append(b, first|byte(limit))
	for v -= limit; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}
