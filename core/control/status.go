package control

import "time"

// Protocol is the version of the HTTP interface that this package speaks. Another
// number is one that it does not understand; new fields come without a new number.
const Protocol = 1

// HeaderProtocol is the header that every answer of a control socket has, with the
// number of Protocol. An answer without it comes from something else.
const HeaderProtocol = "Gracex-Control"

// Status is what an app says about itself.
type Status struct {
	Protocol    int          `json:"protocol"`             // 1
	PID         int          `json:"pid"`                  // of the process that answers: the current generation
	Supervisor  int          `json:"supervisor,omitempty"` // the master's pid in supervised mode; 0 without one
	Program     string       `json:"program"`              // what the next generation is started from: the launch path
	Version     string       `json:"version,omitempty"`    // of the generation that answers; empty if it is not known
	PIDFile     string       `json:"pid_file,omitempty"`   // absolute; empty without one
	Generations []Generation `json:"generations"`          // newest first: current, on probation, draining
}

// Has reports whether pid is one of the app's processes.
func (s Status) Has(pid int) bool {
	if pid == s.PID || s.Supervisor > 0 && pid == s.Supervisor {
		return true
	}
	for _, g := range s.Generations {
		if g.PID == pid {
			return true
		}
	}
	return false
}

// Generation is one process of an app.
type Generation struct {
	Generation  int        `json:"generation"`         // 0 is the first process of a service
	PID         int        `json:"pid"`                //
	State       string     `json:"state"`              // core.State's name: "current", "upgrading", "probation", "draining", "stopping"; "unknown" if it did not answer
	Probation   bool       `json:"probation"`          // it is the new process of an upgrade that can still be taken back
	Version     string     `json:"version,omitempty"`  // empty: not known
	Started     time.Time  `json:"started"`            // zero: not known
	Requests    int        `json:"requests"`           // being answered now
	Idle        int        `json:"idle"`               // kept-alive connections between two requests
	Connections int        `json:"connections"`        // open, without the hijacked ones
	Hijacked    int        `json:"hijacked"`           // open and the program's own
	Memory      uint64     `json:"memory,omitempty"`   // resident, in bytes; 0: not known
	Deadline    *time.Time `json:"deadline,omitempty"` // when its drain is cut; nil: it does not drain
}
