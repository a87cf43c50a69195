package sdnotify

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// maxNews is how much of the news a status line has, in bytes.
const maxNews = 250

// Service tells the service manager what becomes of the service, by the process that is current: which
// process is the main one, and that a reload or a stop goes on (docs/systemd.md). One goroutine uses it.
//
// A nil one does nothing: no service manager wants to know.
type Service struct {
	socket  *Socket
	log     *slog.Logger
	beat    *time.Ticker // of the watchdog; nil without one
	extend  *time.Ticker // while a stop goes on; nil before
	limit   time.Time    // when that ends at the latest
	last    string       // status
	failing bool         // the last datagram could not be sent
}

// NewService returns the service of the environment, nil for one that no service manager
// has started. inherited is as for WatchdogInterval.
func NewService(getenv func(string) string, inherited bool, log *slog.Logger) *Service {
	socket, err := Open(getenv)
	if err != nil {
		log.Warn("the service manager is not told anything", "error", err)
	}
	s := ServiceAt(socket, log)
	if s == nil {
		return nil
	}
	d, err := WatchdogInterval(getenv, inherited)
	if err != nil {
		log.Warn("the service manager's watchdog gets no answer", "error", err)
	}
	if d > 0 {
		s.beat = time.NewTicker(max(d/2, time.Millisecond)) // as sd_watchdog_enabled(3) recommends
	}
	return s
}

// ServiceAt is NewService for a service whose main process has been another one, which has
// the watchdog. A nil socket is none.
func ServiceAt(socket *Socket, log *slog.Logger) *Service {
	if socket == nil {
		return nil
	}
	return &Service{socket: socket, log: log}
}

func (s *Service) send(assignments ...string) {
	err := s.socket.Send(assignments...)
	if failing := err != nil; failing != s.failing {
		s.failing = failing
		if failing {
			s.log.Warn("the service manager can't be told", "error", err)
		}
	}
}

// Beats says when to call Beat; nil if the service manager has no watchdog.
func (s *Service) Beats() <-chan time.Time {
	if s == nil || s.beat == nil {
		return nil
	}
	return s.beat.C
}

// Beat answers the watchdog. It is called by the goroutine that upgrades and stops: a
// service whose goroutine can't do that is dead.
func (s *Service) Beat() { s.send(Watchdog) }

// Reloading says that an upgrade begins.
func (s *Service) Reloading(generation int) {
	if s != nil {
		s.send(append(Reloading(), Status(fmt.Sprintf("generation %d, upgrading", generation)))...)
	}
}

// HandedOver says that pid, the next generation, is the main process from here on. This
// process says it, which is that yet: others may not be listened to (NotifyAccess=main).
func (s *Service) HandedOver(pid, generation, draining int) {
	if s != nil {
		s.send(MainPID(pid), Ready, Status(serving(generation, draining, "")))
	}
}

// ServesOn says that the service is pid's, as before. The news say what has failed, was rolled back or was checked.
func (s *Service) ServesOn(pid, generation, draining int, news string) {
	if s != nil {
		s.last = serving(generation, draining, brief(news))
		s.send(Ready, MainPID(pid), Status(s.last))
	}
}

// Explain says more about what has failed.
func (s *Service) Explain(generation, draining int, news string) {
	if s != nil {
		s.last = serving(generation, draining, brief(news))
		s.send(Status(s.last))
	}
}

// Serving says that this process serves, and how many older generations drain, if that has changed. The first
// time it says that this process is the main one: the one before it, which should have, may have been killed.
func (s *Service) Serving(generation, draining int) {
	if s == nil {
		return
	}
	now := serving(generation, draining, "")
	switch s.last {
	case now:
		return
	case "":
		s.send(Ready, MainPID(os.Getpid()), Status(now))
	default:
		s.send(Status(now))
	}
	s.last = now
}

// Stopping says that the service stops, which takes at most limit, and what is left to do.
func (s *Service) Stopping(left fmt.Stringer, limit time.Duration) {
	if s != nil && s.extend == nil {
		s.extend, s.limit = time.NewTicker(timing.ExtendEvery), time.Now().Add(limit)
		s.send(Stopping, Status("stopping: "+left.String()), ExtendTimeout(min(timing.ExtendBy, timing.Add(limit, timing.StopEnd))))
	}
}

// Extends says when to call Extend; nil before Stopping.
func (s *Service) Extends() <-chan time.Time {
	if s == nil || s.extend == nil {
		return nil
	}
	return s.extend.C
}

// Extend says that the stop is not over yet. Past its own limit it gets no more time:
// something is stuck, and the service manager is to end it.
func (s *Service) Extend(left fmt.Stringer) {
	if by := min(timing.ExtendBy, timing.Add(time.Until(s.limit), timing.StopEnd)); by > 0 {
		s.send(Status("stopping: "+left.String()), ExtendTimeout(by))
	}
}

// Close ends the timers.
func (s *Service) Close() {
	if s == nil {
		return
	}
	for _, t := range []*time.Ticker{s.beat, s.extend} {
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

// brief returns the first line of a text, not too long.
func brief(news string) string {
	first, _, _ := strings.Cut(news, "\n")
	return text.Cut(first, maxNews)
}
