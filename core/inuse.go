package core

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// inUse says what is in the way of a listener that this process could not open, and what to do.
func inUse(network, address string) string {
	const other = "another program listens there"
	if !strings.HasPrefix(network, "tcp") {
		return other + ": stop it or choose another address"
	}
	if at := ownListener(address); at != nil {
		return fmt.Sprintf("this process itself listens on %v: open each address once", at)
	}
	holders := proc.HoldersOf(address)
	if len(holders) == 0 {
		return other + ": stop it or choose another address"
	}
	h := holders[0]
	for _, pid := range []int{os.Getpid(), boot.oldPID} { // of a socket that both have the old one
		if i := slices.IndexFunc(holders, func(h proc.Holder) bool { return h.PID == pid }); i >= 0 {
			h = holders[i]
		}
	}
	switch h.PID {
	case boot.oldPID:
		return fmt.Sprintf("the old process (pid %d) listens on %s: use that address, or stop the service and start it again",
			h.PID, h.Address)
	case os.Getpid():
		return "this process itself listens on " + h.Address + ": open each address once"
	}
	return fmt.Sprintf("%s, process %d (%s) on %s: stop it or choose another address", other, h.PID, h.Name, h.Address)
}

// ownListener returns the address of a listener that the program has opened by gracex, and that is in the way of one
// on the TCP address; nil if there is none. An inherited one that nobody has claimed yet is none of these.
func ownListener(address string) net.Addr {
	u := running.Load()
	want, err := net.ResolveTCPAddr("tcp", address)
	if u == nil || err != nil || want.Port == 0 {
		return nil
	}
	for _, l := range only[*listener](u.passing.all()) {
		if at, ok := l.Addr().(*net.TCPAddr); ok && proc.InTheWay(at, want) {
			return at
		}
	}
	return nil
}

// inUseError is how package net says that an address is taken, and what follows where gracex has said why.
var inUseError = regexp.MustCompile(`listen (tcp[46]?) (\S+): bind: address already in use(;?)`)

// whoListens explains why a new process could not listen on an address, which it has said in one of the texts. knows reports
// whether it has said hello. It returns "" if none of them says so, or the new process has explained it itself. One that
// does not know what this process hands over takes this one for another program.
func (u *Upgrader) whoListens(newPID int, knows bool, texts []string) string {
	for _, text := range texts {
		m := inUseError.FindStringSubmatch(text)
		if m == nil || m[3] != "" && knows {
			continue
		}
		network, address := m[1], m[2]
		if own := u.ownHolder(network, address, knows); own != "" || m[3] != "" {
			return own
		}
		return u.otherHolder(newPID, address)
	}
	return ""
}

// ownHolder says what to do if the address is in the hands of this process; "" if it is not.
func (u *Upgrader) ownHolder(network, address string, knows bool) string {
	want, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return ""
	}
	outside := u.outsiders()
	own, _ := fd.Listening()
	for _, s := range own {
		at, err := net.ResolveTCPAddr("tcp", s.Address)
		if s.Network != "tcp" || err != nil || !proc.InTheWay(at, want) {
			continue
		}
		if slices.ContainsFunc(outside, func(o fd.Socket) bool { return o.Inode == s.Inode }) {
			return fmt.Sprintf("this process (pid %d) itself listens on %s, outside gracex; %s",
				os.Getpid(), s.Address, outsideRemedy)
		}
		remedy := "the new version has to open it with core.Listen, core.AlsoServe or a run method, and not with net.Listen"
		if !knows {
			remedy = "the new process has not answered: it is on an older version of gracex or on none, or a script has dropped " +
				"its environment; build it with this version of gracex, or stop the service and start it again"
		}
		return fmt.Sprintf("this process (pid %d) listens on %s, and hands it over; %s", os.Getpid(), s.Address, remedy)
	}
	return ""
}

// otherHolder says in which other process's hands the address is, and what to do.
func (u *Upgrader) otherHolder(newPID int, address string) string {
	older := u.generations(timing.Report)
	for _, h := range proc.HoldersOf(address) {
		if h.PID == newPID {
			continue
		}
		for _, g := range older {
			if g.PID == h.PID {
				return fmt.Sprintf("process %d, generation %d of this program, which still drains, listens on %s outside "+
					"gracex; %s", h.PID, g.Generation, h.Address, outsideRemedy)
			}
		}
		return fmt.Sprintf("process %d (%s) listens on %s; stop it, or choose another address", h.PID, h.Name, h.Address)
	}
	return ""
}
