package main

import (
	"encoding/json"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// linkName is the unix socket in a cell's directory on which the kit hears its shims.
const linkName = "kit"

// moment is what a report is about.
type moment string

// The moments.
const (
	atStart  moment = "start"  // the program is about to be started
	atBirth  moment = "birth"  // it was started
	atRead   moment = "read"   // a frame has come and was not passed on
	atPassed moment = "passed" // it was
	atEnd    moment = "end"    // one side has hung up, or is not understood
)

// side is one of the two processes of an upgrade.
type side string

// The sides.
const (
	sideOld side = "old"
	sideNew side = "new"
)

// report is what a shim tells the kit. It does nothing more until it has the answer.
type report struct {
	At        moment        `json:"at"`
	Shim      int           `json:"shim,omitempty"`      // its pid
	Child     int           `json:"child,omitempty"`     // the program's
	From      side          `json:"from,omitempty"`      // who sent the frame, or hung up
	Frame     wire.Type     `json:"frame,omitempty"`     // its type
	Probation time.Duration `json:"probation,omitempty"` // it is a commit that can be taken back for so long
	Why       string        `json:"why,omitempty"`       // of an end
}

// order is the kit's answer.
type order struct {
	Do      action `json:"do"`
	Program string `json:"program,omitempty"` // what to start
	Files   uint64 `json:"files,omitempty"`   // its limit of descriptors; 0: as it is
}

// action is what a shim does with what it has in its hands.
type action string

// The actions.
const (
	doGo       action = "go"
	doCut      action = "cut"      // drop it, and close both control sockets
	doTruncate action = "truncate" // pass half of it on, and then the same
	doGarbage  action = "garbage"  // pass as many bytes on that mean nothing, and go on
)

// link is a shim's end of its connection with the kit.
type link struct {
	c       net.Conn
	mu      sync.Mutex
	out     *json.Encoder
	answers chan order // closed when the kit is gone
}

// dialLink connects with the kit. Once that is gone, gone is called.
func dialLink(path string, gone func()) (*link, error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	l := &link{c: c, out: json.NewEncoder(c), answers: make(chan order, 1)}
	go func() {
		defer gone()
		defer close(l.answers)
		for in := json.NewDecoder(c); ; {
			var o order
			if in.Decode(&o) != nil {
				return
			}
			l.answers <- o
		}
	}()
	return l, nil
}

// ask reports and returns the answer. Meanwhile nobody else can: the whole
// conversation stands still.
func (l *link) ask(r report) (order, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.out.Encode(r); err != nil {
		return order{}, err
	}
	o, ok := <-l.answers
	if !ok {
		return o, errKitGone
	}
	return o, nil
}

var errKitGone = errors.New("the kit is gone")
