package wsmove

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// frameOf returns a frame; one of a client is masked, with a key of zeros.
func frameOf(op byte, final, masked bool, payload []byte) []byte {
	b := []byte{op, 0}
	if final {
		b[0] |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if masked {
		b[1] |= 0x80
		b = append(b, 0, 0, 0, 0)
	}
	return append(b, payload...)
}

// conversation returns a stream of frames, and where in it no message is open.
func conversation(rng *rand.Rand) (stream []byte, ends map[int]bool) {
	ends = map[int]bool{0: true}
	inside := false
	for range 1 + rng.IntN(8) {
		n := []int{0, 1, 125, 126, 127, 1<<16 - 1, 1 << 16, rng.IntN(300)}[rng.IntN(8)]
		op, final := byte(1), rng.IntN(2) == 0
		switch {
		case rng.IntN(3) == 0:
			op, final, n = 9, true, min(n, 125)
		case inside:
			op = 0
		}
		stream = append(stream, frameOf(op, final, rng.IntN(2) == 0, make([]byte, n))...)
		if op != 9 {
			inside = !final
		}
		if !inside {
			ends[len(stream)] = true
		}
	}
	return stream, ends
}

// TestFollower_FindsTheSameEndsHoweverTheBytesAreCut.
func TestFollower_FindsTheSameEndsHoweverTheBytesAreCut(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		stream, ends := conversation(rng)
		var f follower
		for at := 0; at < len(stream); {
			n := min(1+rng.IntN(1+rng.IntN(70000)), len(stream)-at)
			want := -1
			for i := at + 1; i <= at+n; i++ {
				if ends[i] {
					want = i - at
				}
			}
			if got := f.follow(stream[at : at+n]); got != want {
				t.Fatalf("bytes %d to %d of %d: the last message ends at %d, want %d", at, at+n, len(stream), got, want)
			}
			at += n
			if f.atMessage() != ends[at] {
				t.Fatalf("after byte %d: between messages is %v", at, f.atMessage())
			}
		}
	}
}

func TestFollower_SeesACloseFrame(t *testing.T) {
	t.Parallel()
	var f follower
	f.follow(frameOf(9, true, true, nil))
	if f.closed {
		t.Error("a ping counts as a close frame")
	}
	if end := f.follow(closeFrame(codeRestart)); !f.closed || end != 4 || !f.atMessage() {
		t.Errorf("closed %v, at %d", f.closed, end)
	}
}

// FuzzFollower compares a stream that is followed at once with the same one byte by byte, and with what a plain reading
// of the heads says.
func FuzzFollower(f *testing.F) {
	f.Add([]byte("\x81\x85\x00\x00\x00\x00hello\x89\x00\x01\x01a\x80\x01b"))
	f.Add([]byte("\x82\x7e\x00\x02ab\x02\x7f\x00\x00\x00\x00\x00\x00\x00\x01a\x88\x02\x03\xe8"))
	f.Add([]byte("\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00rest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var whole, single follower
		end, last := whole.follow(b), -1
		for i := range b {
			if single.follow(b[i:i+1]) == 1 {
				last = i + 1
			}
		}
		if whole != single || end != last {
			t.Fatalf("at once %+v and %d, byte by byte %+v and %d", whole, end, single, last)
		}
		want, inside, closed := plainEnds(b)
		if end != want || whole.closed != closed || whole.atFrame() && whole.inside != inside {
			t.Fatalf("%+v and %d, want %d, inside %v, closed %v", whole, end, want, inside, closed)
		}
	})
}

// plainEnds reads whole frames from b.
func plainEnds(b []byte) (end int, inside, closed bool) {
	end = -1
	for at := 0; len(b)-at >= 2; {
		op, final, masked := b[at]&15, b[at]&128 != 0, b[at+1]&128 != 0
		head, size := 2, uint64(b[at+1]&127)
		more := map[uint64]int{126: 2, 127: 8}[size]
		if masked {
			head += 4
		}
		if len(b)-at < head+more {
			return end, inside, closed
		}
		switch more {
		case 2:
			size = uint64(binary.BigEndian.Uint16(b[at+2:]))
		case 8:
			size = binary.BigEndian.Uint64(b[at+2:])
		}
		head += more
		closed = closed || op == 8
		if op < 8 {
			inside = !final
		}
		if uint64(len(b)-at-head) < size {
			return end, inside, closed
		}
		at += head + int(size)
		if !inside {
			end = at
		}
	}
	return end, inside, closed
}
