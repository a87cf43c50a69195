package core

import (
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// ListenerStatus describes a socket on which this process listens.
type ListenerStatus struct {
	Name    string // of the server, see Named; empty for none
	Network string // "tcp", "unix" or another one that was given to Listen
	Address string // that the socket is bound to
	// Outside means that gracex does not hold the socket, because the program has opened it with
	// net.Listen or http.ListenAndServe. An upgrade does not hand it over. Open it with AlsoServe or
	// Listen. It is found on Linux only.
	Outside bool
}

// outsideRemedy says what to do about a socket that gracex does not hold.
const outsideRemedy = "open it with core.AlsoServe or core.Listen"

const (
	// lookAgain is how long after the process became current it looks for sockets once more: main
	// may start its second server in a goroutine.
	lookAgain = 5 * time.Second
	// lookAfterUpgrade is how long after an upgrade the new process looks for the first time.
	lookAfterUpgrade = time.Second
	// lookShare bounds the time that looks take: one in so many parts of all time.
	lookShare = 100
)

// outside finds the sockets on which this process listens and that gracex does not hold. Its
// methods may be called from any goroutine.
type outside struct {
	mu    sync.Mutex
	own   fd.Listeners
	found []fd.Socket
	ended time.Time // when the last look did; zero before the first
	took  time.Duration
	held  map[uint64]bool // the inodes of all sockets that gracex has held
	named map[uint64]bool // those that the log has named
}

// outsiders returns the sockets that gracex does not hold. It looks anew unless the last look was
// a moment ago, for which it may have had to read all descriptors of the process.
func (u *Upgrader) outsiders() []fd.Socket {
	o := &u.outside
	o.mu.Lock()
	defer o.mu.Unlock()
	// What this process holds in a drain is not in the table any more.
	if u.State() > StateProbation || !o.ended.IsZero() && time.Since(o.ended) < lookShare*o.took {
		return o.found
	}
	began := time.Now()
	u.inherited.mu.Lock()  // gracex opens no listener meanwhile
	u.noteHeldLocked()     // and what is closed meanwhile is known
	all, _ := o.own.Look() // without /proc nothing is found
	u.noteHeldLocked()
	u.inherited.mu.Unlock()
	o.found = slices.DeleteFunc(slices.Clone(all), func(s fd.Socket) bool { return o.held[s.Inode] })
	o.ended = time.Now()
	o.took = o.ended.Sub(began)
	return o.found
}

// noteHeldLocked notes which sockets gracex holds. It needs inherited.mu, too.
func (u *Upgrader) noteHeldLocked() {
	if u.outside.held == nil {
		u.outside.held, u.outside.named = make(map[uint64]bool), make(map[uint64]bool)
	}
	note := func(s int) {
		if inode, ok := fd.Inode(s); ok {
			u.outside.held[inode] = true
		}
	}
	for _, p := range u.passing.all() {
		if s := p.duplicate(); s >= 0 {
			note(s)
		}
	}
	for _, in := range u.inherited.unclaimed {
		note(in.s)
	}
}

// nameOutsiders returns the sockets that gracex does not hold. The log names each once.
func (u *Upgrader) nameOutsiders() []fd.Socket {
	found := u.outsiders()
	u.outside.mu.Lock()
	defer u.outside.mu.Unlock()
	for _, s := range found {
		if !u.outside.named[s.Inode] {
			u.outside.named[s.Inode] = true
			u.log.Warn("this process also listens outside gracex: an upgrade does not hand the socket over; "+outsideRemedy,
				"network", s.Network, "address", s.Address)
		}
	}
	return found
}

// lookAround does what can wait until clients have been served. A process that begins in an upgrade has them from its
// first moment on.
func (u *Upgrader) lookAround() {
	delay := lookAfterUpgrade
	if u.hasNoOld() {
		delay = 0
	}
	time.AfterFunc(delay, func() {
		u.watchOutsiders()
		proc.WarmUp()
	})
}

// watchOutsiders looks when the process is current, and once more soon afterwards.
func (u *Upgrader) watchOutsiders() {
	u.nameOutsiders()
	time.AfterFunc(lookAgain, func() {
		if u.phase.life.Err() == nil {
			u.nameOutsiders()
		}
	})
}

// noteOutsiders tells those who follow an upgrade of the sockets that it does not hand over.
func (u *Upgrader) noteOutsiders() {
	for _, s := range u.nameOutsiders() {
		u.noteText(control.StepWarning, os.Getpid(), "this process also listens on "+s.Address+
			" outside gracex, and the upgrade does not hand it over; "+outsideRemedy)
	}
}

// outsider is a listener that the program has opened without gracex. The next generation gets it
// all the same, because it may be of a version that opens the address by gracex.
type outsider fd.Socket

func (s outsider) duplicate() int { return s.FD }
func (s outsider) rank() int      { return rankOther }
func (s outsider) describe() wire.Listener {
	return wire.Listener{Network: s.Network, Address: s.Address, Outside: true}
}

// withOutsiders adds the TCP listeners that gracex does not hold to what the next generation gets,
// before the control socket, which comes last. The path of a unix socket goes with the program's own
// Close, and would leave it unreachable there.
func (u *Upgrader) withOutsiders(passed []passable, dups []int) ([]passable, []int) {
	at := slices.IndexFunc(passed, func(p passable) bool { return p.rank() == rankControl })
	if at < 0 {
		at = len(passed)
	}
	for _, s := range u.outsiders() {
		if s.Network != "tcp" {
			continue
		}
		dup, err := fd.DupOf(s.FD)
		if inode, ok := fd.Inode(dup); err != nil || !ok || inode != s.Inode || fd.CheckListener(dup) != nil {
			if err == nil {
				_ = fd.Close(dup) // the program has closed it since, and the number is another file's
			}
			continue
		}
		passed, dups = slices.Insert(passed, at, passable(outsider(s))), slices.Insert(dups, at, dup)
		at++
	}
	return passed, dups
}

// listeners describes the sockets on which this process listens.
func (u *Upgrader) listeners() (all []ListenerStatus) {
	names := u.servers.names()
	for _, l := range only[*listener](u.passing.all()) {
		if l.origin.Network != networkControl {
			all = append(all, ListenerStatus{Name: names[l], Network: l.Addr().Network(), Address: l.Addr().String()})
		}
	}
	for _, s := range u.outsiders() {
		all = append(all, ListenerStatus{Network: s.Network, Address: s.Address, Outside: true})
	}
	return all
}

// addresses lists what the program listens on, for the log, each behind the name of its server.
func (u *Upgrader) addresses() (all []string) {
	names := u.servers.names()
	for _, p := range u.passing.all() {
		switch p := p.(type) {
		case *listener:
			if p.origin.Network != networkControl {
				all = append(all, strings.TrimSpace(names[p]+" "+p.Addr().String()))
			}
		case *PacketConn:
			all = append(all, p.LocalAddr().String())
		}
	}
	return all
}

// controlListeners is listeners for operators.
func (u *Upgrader) controlListeners() (all []control.Listener) {
	for _, l := range u.listeners() {
		l.Name, l.Address = text.Cut(l.Name, text.MaxName), text.Cut(l.Address, text.MaxAddress)
		all = append(all, control.Listener(l))
	}
	return all
}
