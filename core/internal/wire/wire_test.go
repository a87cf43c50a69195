package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	want := WelcomeMsg{PID: 42, Generation: 7, Listeners: []Listener{{Network: "tcp", Address: ":0"}, {Network: "unix", Address: "/run/app.sock", Foreign: true, Name: "app"}}}
	var buf bytes.Buffer
	must.Do(t, Write(&buf, Welcome, want))
	must.Do(t, Write(&buf, Ready, nil))
	f, err := Read(&buf)
	if err != nil || f.Type != Welcome {
		t.Fatalf("Read = %v, %v", f.Type, err)
	}
	var got WelcomeMsg
	if err := f.Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("Decode = %+v, %v; want %+v", got, err, want)
	}
	if f, err = Read(&buf); err != nil || f.Type != Ready || len(f.Payload) != 0 {
		t.Fatalf("Read = %+v, %v", f, err)
	}
	if _, err = Read(&buf); !errors.Is(err, io.EOF) {
		t.Fatalf("Read at the end = %v, want io.EOF", err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	good := must.Get(Append(nil, Failed, ReasonMsg{Reason: "no database"}))(t)
	future := bytes.Clone(good)
	future[2] = Version + 1
	var version VersionError
	if _, err := Read(bytes.NewReader(future)); !errors.As(err, &version) {
		t.Errorf("future version: %v", err)
	}
	for name, b := range map[string][]byte{
		"garbage":   []byte("GET / HTTP/1.1\r\n\r\n"),
		"oversized": {'G', 'X', Version, byte(Ready), 0xff, 0xff, 0xff, 0xff},
	} {
		if _, err := Read(bytes.NewReader(b)); !errors.Is(err, ErrGarbage) {
			t.Errorf("%s: %v, want ErrGarbage", name, err)
		}
	}
	for n := 1; n < len(good); n++ {
		if _, err := Read(bytes.NewReader(good[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut after %d bytes: %v, want io.ErrUnexpectedEOF", n, err)
		}
	}
}

func TestAppendRefusesOversized(t *testing.T) {
	t.Parallel()
	if _, err := Append(nil, Failed, ReasonMsg{Reason: string(make([]byte, MaxPayload))}); err == nil {
		t.Error("an oversized payload was accepted")
	}
}

// FuzzRead: no input makes Read panic or allocate without bound, and what it accepts is what Append writes.
func FuzzRead(f *testing.F) {
	for _, msg := range []any{nil, HelloMsg{PID: 1}, CommitMsg{DrainMillis: 30000, Again: true}} {
		b := must.Get(Append(nil, Hello, msg))(f)
		f.Add(b)
	}
	f.Add([]byte("GX\x01\x01\x00\x00\x00\x02{}trailing"))
	f.Add([]byte("GX\x02\x01\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(fr.Payload) > MaxPayload {
			t.Fatalf("payload of %d bytes", len(fr.Payload))
		}
		if want := b[:headerLen+len(fr.Payload)]; !bytes.Equal(want[headerLen:], fr.Payload) || fr.Type != Type(b[3]) {
			t.Fatalf("read %+v from % x", fr, want)
		}
		_ = fr.Decode(&WelcomeMsg{})
	})
}

// TestMillis: whatever a peer says is a time.
func TestMillis(t *testing.T) {
	t.Parallel()
	for in, want := range map[int64]time.Duration{
		-1: 0, 0: 0, 1500: 1500 * time.Millisecond, math.MaxInt64: math.MaxInt64 - math.MaxInt64%time.Millisecond, math.MinInt64: 0,
	} {
		m := CommitMsg{DrainMillis: in, ProbationMillis: in}
		if m.Drain() != want || m.Probation() != want || (ReadyMsg{StopMillis: in}).Stop() != want {
			t.Errorf("%d ms is %v", in, m.Drain())
		}
	}
}
