package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

type account struct{}

func (account) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("n", 3), slog.Duration("took", 1500*time.Millisecond))
}

func TestReadable_WritesDurationsAsStrings(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	l := Readable(slog.New(slog.NewJSONHandler(&b, nil))).With("limit", 30*time.Second).WithGroup("g")
	l.Info("done", "took", 7842*time.Microsecond, "ledger", account{}, "n", 7)
	want := `"msg":"done","limit":"30s","g":{"took":"7.842ms","ledger":{"n":3,"took":"1.5s"},"n":7}}`
	if got := strings.TrimSpace(b.String()); !strings.HasSuffix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestReadable_HasNothingThatATerminalObeys in what other processes have said. A handler that looks at an error finds
// what it wraps.
func TestReadable_HasNothingThatATerminalObeys(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	var seen error
	h := slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if err, ok := a.Value.Any().(error); ok {
			seen = err
		}
		return a
	}})
	err := fmt.Errorf("\u009b2J %w", fs.ErrNotExist)
	Readable(slog.New(h)).With("version", "v1\u202e").Error("failed", "error", err, "stack", "a\nb\x7f", "n", 7)
	want := `"msg":"failed","version":"v1\\u202e","error":"\\u009b2J file does not exist","stack":"a\nb\\x7f","n":7}`
	if got := strings.TrimSpace(b.String()); !strings.HasSuffix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	if !errors.Is(seen, fs.ErrNotExist) {
		t.Errorf("the handler finds %v", seen)
	}
}

// TestReadable_IsAHandler keeps to what slog wants of one.
func TestReadable_IsAHandler(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	h := Readable(slog.New(slog.NewJSONHandler(&b, nil))).Handler()
	err := slogtest.TestHandler(h, func() (all []map[string]any) {
		for line := range bytes.Lines(b.Bytes()) {
			var m map[string]any
			if err := json.Unmarshal(line, &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}
