//go:build unix

package core

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// ticketKey is a key of a service, as of now.
var ticketKey = bytes.Repeat([]byte{0x5e, 0xc7, 0xe7, 0x4b}, 8)

func ticketWords(t *testing.T) json.RawMessage {
	t.Helper()
	return json.RawMessage(fmt.Sprintf(`{"keys":[{"key":%q,"born":%d}]}`, base64.StdEncoding.EncodeToString(ticketKey), startedAt.Unix()))
}

// TestTickets_GoToWhoAsks, before it is told to accept, and to nobody else.
func TestTickets_GoToWhoAsks(t *testing.T) {
	for name, c := range map[string]struct {
		says wire.ReadyMsg
		opts []Option
		want bool
	}{
		"asks":         {wire.ReadyMsg{Tickets: true}, nil, true},
		"does not":     {wire.ReadyMsg{Probation: true}, nil, false},
		"asks in vain": {wire.ReadyMsg{Tickets: true}, []Option{WithTicketKeys(false)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			u := playNew(t, func(f *playedNew) {
				f.getsReady(c.says)
				if c.want {
					expectText(t, string(f.hears(wire.Tickets).Payload), string(ticketWords(t)))
				}
				f.hears(wire.Commit)
				f.says(wire.Confirmed, nil)
				f.outlives()
			}, append(c.opts, WithProbation(0))...)
			must(t, u.tickets.Take(ticketWords(t)))
			u.expectUpgrade(t, nil)
			u.expectDone(t, nil)
		})
	}
}

// logBuffer is what a process has logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestTickets_AreTaken by a process that becomes current, and are in nothing that it shows. What is no key is no
// reason to fail.
func TestTickets_AreTaken(t *testing.T) {
	for name, c := range map[string]struct {
		words any
		opts  []Option
		taken bool
		warns bool
	}{
		"keys":        {ticketWords(t), nil, true, false},
		"not wanted":  {ticketWords(t), []Option{WithTicketKeys(false)}, false, false},
		"no keys":     {json.RawMessage(`{"keys":"` + base64.StdEncoding.EncodeToString(ticketKey) + `"}`), nil, false, true},
		"no message":  {nil, nil, false, true},
		"another one": {wire.MovedMsg{Moved: 1}, nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var log logBuffer
			u, o := playOld(t, append(c.opts, WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))...)
			u.AttachTest(t, notFound())
			ready := o.hearsReady(u)
			o.says(wire.Tickets, c.words)
			o.says(wire.Commit, wire.CommitMsg{DrainMillis: 1000})
			must(t, <-ready)
			payload := string(u.tickets.Payload())
			if got := payload == string(ticketWords(t)); got != c.taken || !got && payload != "" {
				t.Errorf("it has %q", payload)
			}
			expectEqual(t, "it warns", strings.Contains(log.String(), "session tickets"), c.warns)
			st, err := json.Marshal(u.Status())
			must(t, err)
			shown := log.String() + string(st) + fmt.Sprintf("%v %+v %s", u.tickets, u.tickets, u.tickets)
			for _, secret := range []string{base64.StdEncoding.EncodeToString(ticketKey)[:8], hex.EncodeToString(ticketKey[:4]), "94 199"} {
				if strings.Contains(shown, secret) {
					t.Errorf("it shows a key: %s", shown)
				}
			}
		})
	}
}
