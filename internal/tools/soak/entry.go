package main

import (
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What core logs, as far as the soak waits for it or counts it.
const (
	msgCurrent  = "current"
	msgDraining = "draining"
	msgUpgraded = "upgraded"
	msgFailed   = "upgrade failed; this process serves on"
	msgRefused  = "upgrade refused"
	msgEnded    = "generation ended"
)

// entry is one line of a server's log.
type entry struct {
	Time       time.Time
	Level      slog.Level
	Msg        string
	Generation int
	PID        int
	Error      string
	Addresses  []string
	Took       time.Duration
	How        string
	Ledger     *ledger
}

// ledger is what a generation logs at its end, in core's words.
type ledger struct {
	Accepted       int `json:"accepted"`
	Served         int `json:"served"`
	Adopted        int `json:"adopted"`
	Moved          int `json:"moved"`
	Refused        int `json:"refused"`
	ClosedPolitely int `json:"closed_politely"`
	ClosedIdle     int `json:"closed_idle"`
	CutRequests    int `json:"cut_requests"`
	CutConnections int `json:"cut_connections"`
	CutHijacked    int `json:"cut_hijacked"`
}

func (l ledger) cut() int { return l.CutRequests + l.CutConnections + l.CutHijacked }

var newProcess = regexp.MustCompile(`\(pid (\d+)\)`)

// culprit is the process that a failed upgrade failed of: the new one, which the
// error names, or the old one if that refused to start it.
func (e entry) culprit() int {
	if m := newProcess.FindStringSubmatch(e.Error); m != nil {
		pid, _ := strconv.Atoi(m[1])
		return pid
	}
	if strings.Contains(e.Error, errOnPurpose.Error()) {
		return e.PID
	}
	return 0
}
