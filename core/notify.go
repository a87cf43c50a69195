package core

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/internal/sdnotify"
)

const (
	// extendEvery is how often a stop that takes long asks for more time, and extendBy for
	// how much: enough for a few that come late.
	extendEvery = 5 * time.Second
	extendBy    = 15 * time.Second
	// maxReason is how much of an error a status line has, in bytes.
	maxReason = 200
)

// notifier tells the service manager what becomes of the service, by the process that is
// current: which process is the main one, and that a reload or a stop goes on (docs/systemd.md).
// It is the lifecycle's, and does nothing on nil: there is no service manager that wants to know, or a supervisor
// tells it.
type notifier struct {
	socket  *sdnotify.Socket
	log     *slog.Logger
	beat    *time.Ticker // of the watchdog; nil without one
	extend  *time.Ticker // while a stop goes on; nil before
	limit   time.Time    // when that ends at the latest
	last    string       // status
	failing bool         // the last datagram could not be sent
}

// newNotifier looks who started the service.
func newNotifier(st startup, log *slog.Logger) *notifier {
	if st.link != nil {
		return nil
	}
	socket, err := sdnotify.Open(st.launch.getenv)
	if err != nil {
		log.Warn("the service manager is not told anything", "error", err)
	}
	if socket == nil {
		return nil
	}
	n := &notifier{socket: socket, log: log}
	d, err := sdnotify.WatchdogInterval(st.launch.getenv, st.graceful)
	if err != nil {
		log.Warn("the service manager's watchdog gets no answer", "error", err)
	}
	if d > 0 {
		n.beat = time.NewTicker(max(d/2, time.Millisecond)) // as sd_watchdog_enabled(3) recommends
	}
	return n
}

// newNotifierAt is for a service whose main process has been another one. A nil socket is none.
func newNotifierAt(socket *sdnotify.Socket, log *slog.Logger) *notifier {
	if socket == nil {
		return nil
	}
	return &notifier{socket: socket, log: log}
}

func (n *notifier) send(assignments ...string) {
	err := n.socket.Send(assignments...)
	if failing := err != nil; failing != n.failing {
		n.failing = failing
		if failing {
			n.log.Warn("the service manager can't be told", "error", err)
		}
	}
}

// beats and extends are channels for the lifecycle, nil if there is nothing to send.

func (n *notifier) beats() <-chan time.Time {
	if n == nil || n.beat == nil {
		return nil
	}
	return n.beat.C
}

func (n *notifier) extends() <-chan time.Time {
	if n == nil || n.extend == nil {
		return nil
	}
	return n.extend.C
}

// watchdog is sent from the lifecycle: whoever can't do that can't upgrade or stop.
func (n *notifier) watchdog() { n.send(sdnotify.Watchdog) }

// serves: this process is the main one, and serves.
func (n *notifier) serves(generation, draining int) {
	if n != nil {
		n.last = serving(generation, draining, "")
		n.send(sdnotify.Ready, sdnotify.MainPID(os.Getpid()), sdnotify.Status(n.last))
	}
}

// reloads: an upgrade begins.
func (n *notifier) reloads(generation int) {
	if n != nil {
		n.send(append(sdnotify.Reloading(), sdnotify.Status(fmt.Sprintf("generation %d, upgrading", generation)))...)
	}
}

// handsOver: the next generation is the main process from here on. It is told by this one,
// which is that yet: others may not be listened to (NotifyAccess=main).
func (n *notifier) handsOver(pid, generation, draining int) {
	if n != nil {
		n.send(sdnotify.MainPID(pid), sdnotify.Ready, sdnotify.Status(serving(generation, draining, "")))
	}
}

// failed: an upgrade has failed or was rolled back, and the service is pid's, as before.
func (n *notifier) failed(pid, generation, draining int, what string, err error) {
	if n != nil {
		n.last = serving(generation, draining, fmt.Sprintf("%s: %s", what, brief(err)))
		n.send(sdnotify.Ready, sdnotify.MainPID(pid), sdnotify.Status(n.last))
	}
}

// ages: the number of older generations has changed. The first time this process says that it is
// the main one: the one before it, which should have, may have been killed.
func (n *notifier) ages(generation, draining int) {
	if n == nil {
		return
	}
	if n.last == "" {
		n.serves(generation, draining)
		return
	}
	if s := serving(generation, draining, ""); s != n.last {
		n.last = s
		n.send(sdnotify.Status(s))
	}
}

// stops: the service stops, which takes at most limit.
func (n *notifier) stops(left Remaining, limit time.Duration) {
	if n == nil {
		return
	}
	if n.extend == nil {
		n.extend, n.limit = time.NewTicker(extendEvery), time.Now().Add(limit)
		n.send(sdnotify.Stopping, sdnotify.Status("stopping: "+left.String()), sdnotify.ExtendTimeout(min(extendBy, limit+killGrace)))
	}
}

// goesOn: the stop is not over yet. Past its own limit it gets no more time: something is
// stuck, and the service manager is to end it.
func (n *notifier) goesOn(left Remaining) {
	if by := min(extendBy, time.Until(n.limit)+killGrace); by > 0 {
		n.send(sdnotify.Status("stopping: "+left.String()), sdnotify.ExtendTimeout(by))
	}
}

func (n *notifier) end() {
	if n == nil {
		return
	}
	for _, t := range []*time.Ticker{n.beat, n.extend} {
		if t != nil {
			t.Stop()
		}
	}
}

// serving is a status line.
func serving(generation, draining int, news string) string {
	s := fmt.Sprintf("generation %d, serving", generation)
	if draining > 0 {
		s += fmt.Sprintf("; %d older draining", draining)
	}
	if news != "" {
		s += "; " + news
	}
	return s
}

// brief is the first line of an error, without the package's name and not too long.
func brief(err error) string {
	s, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), prefix), "\n")
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "..."
	}
	return s
}
