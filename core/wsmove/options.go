package wsmove

import (
	"log/slog"
	"time"

	"github.com/gracex-go/gracex/core/internal/logging"
)

// Defaults of the options.
const (
	DefaultSettle = 100 * time.Millisecond
	DefaultGather = 300 * time.Millisecond
	DefaultSpread = 5 * time.Second
)

// Bounds of the steps that have no option.
const (
	// One that needs longer than these two moves alone, later. They are counted in ticks.
	pauseLimit = 100 * time.Millisecond // for a handler that works on a message
	sealLimit  = 100 * time.Millisecond // for a message that is half written

	unwindLimit = time.Second // for a handler to close its connection and to return

	// hurryAfter is how long a write may hang before it is interrupted, because the client has no room for it.
	hurryAfter = 50 * time.Millisecond

	// handshakeLimit is how long a handler in the new process may take to answer the handshake.
	handshakeLimit = 10 * time.Second
	// handshakes is how many handlers may be between their beginning and that answer. Each of them may ask a database
	// for the login.
	handshakes = 64

	// gatherEach is added to WithGather's time for each connection.
	gatherEach = 200 * time.Microsecond

	// gateLimit is how long after its opening a gate is known to those that come late. One that comes even later finds a
	// gate of its own, and waits in vain for WithGather's time.
	gateLimit = time.Minute

	// goodbyeLimit is how long a client may take to read a close frame and to answer it or to close.
	goodbyeLimit = 5 * time.Second
)

// Option changes a Handler.
type Option func(*mover)

// WithSettle sets how long messages that were read may take to reach those who write them to other connections, by way
// of a hub's goroutine for example. The wait is over before that when each connection was not written to for 8 ms. While
// the process has to wait for a processor the time does not count, up to five times as long. Left out, it is
// DefaultSettle. With 0 there is no wait, which suits handlers that talk to their own client only.
func WithSettle(d time.Duration) Option { return func(m *mover) { m.settleTime = max(d, 0) } }

// WithGather sets how long those that have come to the new process together wait for each other, at the most, before
// anything is read from them. It grows by 0.2 ms with each of them, and is counted in sleeps of a millisecond, which are
// longer on a busy machine. Left out, it is DefaultGather. With 0 none waits, which suits handlers that talk to their own
// client only.
func WithGather(d time.Duration) Option { return func(m *mover) { m.gatherTime = max(d, 0) } }

// WithSpread sets over which time the clients of connections that can't move are told to reconnect. It has to be
// shorter than the drain timeout. Left out, it is DefaultSpread. With 0 all are told at once.
func WithSpread(d time.Duration) Option { return func(m *mover) { m.spread = max(d, 0) } }

// WithLogger sets the logger. It logs how many connections have moved, and each one that the new version does not
// take. Left out or nil, nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(m *mover) {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		m.log = logging.Readable(l)
	}
}
