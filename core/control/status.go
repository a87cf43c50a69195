package control

import (
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/internal/proc"
)

// Protocol is the version of the HTTP interface that this package speaks. The package does not
// understand another version. New fields do not change the version.
const Protocol = 1

// HeaderProtocol is the header of every answer of a control socket. Its value is the version in
// Protocol. An answer without it comes from another program.
const HeaderProtocol = "Gracex-Control"

// Status is what an app reports about itself.
type Status struct {
	Protocol    int          `json:"protocol"`               // 1
	PID         int          `json:"pid"`                    // of the process that answers: the current generation
	Supervisor  int          `json:"supervisor,omitempty"`   // the supervisor's pid; 0 without one
	Program     string       `json:"program"`                // path from which the next generation is started
	Version     string       `json:"version,omitempty"`      // of the generation that answers; empty if unknown
	NextRelease string       `json:"next_release,omitempty"` // that the next start gets; empty outside a folder of releases
	PIDFile     string       `json:"pid_file,omitempty"`     // absolute; empty without one
	Generations []Generation `json:"generations"`            // newest first: current, on probation, draining

	// LastUpgrade is the last upgrade that this process knows of; nil if it knows of none. After an upgrade that
	// was good the new process reports it, and after another one the old process, which serves.
	LastUpgrade *LastUpgrade `json:"last_upgrade,omitempty"`

	// PIDNamespace is the inode number of the pid namespace that the numbers here belong to; 0 if unknown.
	PIDNamespace uint64 `json:"pid_namespace,omitempty"`
}

// LastUpgrade is what has become of an upgrade.
type LastUpgrade struct {
	At      time.Time `json:"at"` // when the outcome was known
	Outcome Outcome   `json:"outcome"`
}

// Has reports whether pid is one of the app's processes.
func (s Status) Has(pid int) bool {
	return pid == s.PID || s.Supervisor > 0 && pid == s.Supervisor ||
		slices.ContainsFunc(s.Generations, func(g Generation) bool { return g.PID == pid })
}

// Elsewhere reports whether the process numbers are those of another pid namespace than this process's, such as a
// container's. Here they can be the numbers of other processes.
func (s Status) Elsewhere() bool {
	own := proc.PIDNamespace()
	return s.PIDNamespace != 0 && own != 0 && s.PIDNamespace != own
}

// PIDs returns the numbers of all processes of the app.
func (s Status) PIDs() (pids []int) {
	for _, g := range s.Generations {
		pids = append(pids, g.PID)
	}
	if s.Supervisor > 0 {
		pids = append(pids, s.Supervisor)
	}
	return pids
}

// living returns the numbers of those that are there, as far as they can be seen from here.
func (s Status) living() []int {
	if s.Elsewhere() {
		return nil
	}
	return slices.DeleteFunc(s.PIDs(), func(pid int) bool { return !proc.Alive(pid) })
}

// Generation is one process of an app.
type Generation struct {
	Generation  int        `json:"generation"`         // 0 is the first process of a service
	PID         int        `json:"pid"`                //
	State       string     `json:"state"`              // the name of a core.State: "current", "upgrading", "probation", "draining", "stopping"; "unknown" if it did not answer
	Probation   bool       `json:"probation"`          // a new process on probation
	Version     string     `json:"version,omitempty"`  // empty if unknown
	Release     string     `json:"release,omitempty"`  // the directory in releases that its program came from; empty outside such a folder, or if unknown
	Started     time.Time  `json:"started,omitzero"`   // zero if unknown
	Requests    int        `json:"requests"`           // being answered now
	Idle        int        `json:"idle"`               // kept-alive connections between two requests
	Connections int        `json:"connections"`        // open, without the hijacked ones
	Hijacked    int        `json:"hijacked"`           // open connections of the program's own
	Memory      uint64     `json:"memory,omitempty"`   // resident, in bytes; 0 if unknown
	Deadline    *time.Time `json:"deadline,omitempty"` // the end of its drain; nil if it does not drain, or has no limit
	Moved       uint64     `json:"moved,omitempty"`    // connections that went to the next generation
	MovedHTTP2  uint64     `json:"moved_http2,omitempty"`
	StayedHTTP2 uint64     `json:"stayed_http2,omitempty"` // HTTP/2 connections that were to go there and did not; the ledger has the reasons
	MovedTLS    uint64     `json:"moved_tls,omitempty"`
	StayedTLS   uint64     `json:"stayed_tls,omitempty"` // likewise, over TLS
	Listeners   []Listener `json:"listeners,omitempty"`
}

// Listener is a socket on which a process listens.
type Listener struct {
	Name    string `json:"name,omitempty"` // of the server, see core.Named; empty for none
	Network string `json:"network"`        // "tcp", "unix" or another one that was given to core.Listen
	Address string `json:"address"`        // that the socket is bound to
	// Outside means that the program has opened the socket without gracex, so that an upgrade does
	// not hand it over. Linux only.
	Outside bool `json:"outside,omitempty"`
}
