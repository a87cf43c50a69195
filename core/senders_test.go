package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// maxOffered is how many connections an Offer can name, on any system.
const maxOffered = 253

// FuzzSenders holds that no text keeps a word from being said, whatever its length and its bytes are: of a reason, a
// version, a name or an address.
func FuzzSenders(f *testing.F) {
	for _, s := range []string{"", "no database", "<", "\x00", "\xff", "\u2028", "日本", "\x1b]0;owned\a", "a\nMAINPID=1\n", `"\`} {
		f.Add(s, uint32(1))
		f.Add(s, uint32(text.MaxReason))
	}
	f.Add("<", uint32(43_690)) // that many fill a frame
	f.Add("<", uint32(1<<20))
	f.Fuzz(func(t *testing.T, s string, times uint32) {
		long := strings.Repeat(s, int(min(times, 1<<20/uint32(max(len(s), 1))+1)))
		sendFrames(t, long)
		sendLines(t, long)
		if st := sdnotify.Status(long); strings.ContainsFunc(st, func(r rune) bool { return r < ' ' }) || !utf8.ValidString(st) || len(st) > 1<<14 {
			t.Fatalf("%d bytes for the service manager: %.200q", len(st), st)
		}
	})
}

// sendFrames makes each frame that has a text, and reads it.
func sendFrames(t *testing.T, long string) {
	t.Helper()
	var cfg config
	WithVersion(long)(&cfg)
	err := errors.New(long)
	heard := func(err error) error { // and what is said of it then
		b, aerr := wire.Append(nil, wire.Reject, rejection(err))
		must(t, aerr)
		fr, rerr := wire.Read(bytes.NewReader(b))
		must(t, rerr)
		return heardRejection(fr)
	}
	var taken wire.TakenMsg
	for i := range maxOffered {
		taken.Refused = append(taken.Refused, wire.Refuse(i, long))
	}
	words := wire.Listener{
		Kind: wire.KindFile, Network: text.Cut(long, text.MaxName), Address: text.Cut(long, text.MaxAddress), Name: text.Cut(long, text.MaxName),
	}
	for _, w := range []struct {
		ty  wire.Type
		msg any
	}{
		{wire.Welcome, wire.WelcomeMsg{Version: cfg.version, Listeners: []wire.Listener{words}}},
		{wire.Ready, wire.ReadyMsg{Version: cfg.version}},
		{wire.Failed, wire.Because(long)},
		{wire.Reject, rejection(err)},
		{wire.Reject, rejection(&operatorError{long})},
		{wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because(heard(err).Error())}},
		{wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because(heard(&operatorError{long}).Error()), Stop: true}},
		{wire.Cut, wire.CutBefore(1, long)},
		{wire.Taken, taken},
		{wire.Keep, wire.KeepMsg{Listeners: []wire.Listener{words}}},
	} {
		b, err := wire.Append(nil, w.ty, w.msg)
		if err != nil {
			t.Fatalf("%v is not said for a text of %d bytes: %v", w.ty, len(long), err)
		}
		fr, err := wire.Read(bytes.NewReader(b))
		var back map[string]any
		if err == nil {
			err = fr.Decode(&back)
		}
		if err != nil || !utf8.Valid(fr.Payload) {
			t.Fatalf("%v is not read: %v", w.ty, err)
		}
	}
}

// sendLines makes each line of the control socket that has a text.
func sendLines(t *testing.T, long string) {
	t.Helper()
	const maxLine = 1 << 20 // bytes that a client reads
	u := &Upgrader{boot: new(startup)}
	WithVersion(long)(&u.cfg)
	err := errors.New(long)
	var lines []any
	for _, err := range []error{
		err, because(ErrVetoed, err), because(ErrRolledBack, err), rolledBack(&operatorError{long}),
		&StartError{Path: long, PID: 1, File: long, Exit: long, Reason: long, Err: fmt.Errorf("%w: %s", ErrTimeout, long), Remedy: long, Stderr: []string{long, long, long}},
	} {
		o := u.outcome(upgradeReply{err: err}, 1)
		o.Left, o.Version, o.Release, o.NextStart, o.Warnings = long, long, long, long, []string{long, long}
		for range 100 {
			o.Warnings, o.Stderr = append(o.Warnings, long[:min(len(long), 1<<14)]), append(o.Stderr, long[:min(len(long), 1<<12)])
		}
		lines = append(lines, struct {
			Outcome control.Outcome `json:"outcome"`
		}{o}, control.NewReport(o, nil), control.Event{Step: failedStep(o.Kind), Text: o.Reason})
	}
	for _, v := range lines {
		b, err := json.Marshal(v)
		if err != nil || len(b) >= maxLine || !utf8.Valid(b) {
			t.Fatalf("a line of %d bytes for a text of %d, %v: %.300s", len(b), len(long), err, b)
		}
	}
	w := httptest.NewRecorder()
	refuse(w, 409, control.CodeRefused, long)
	if w.Body.Len() >= maxLine {
		t.Fatalf("a refusal of %d bytes", w.Body.Len())
	}
}
