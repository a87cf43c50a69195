package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// TestTable: a cell is there once, has names that are known, and the end of the service is never right. Each promise
// has its reason, and is for as many cells as it names.
func TestTable(t *testing.T) {
	t.Parallel()
	var names []string
	for _, c := range table {
		if slices.Contains(names, c.String()) {
			t.Errorf("%v is there twice", c)
		}
		names = append(names, c.String())
		known := slices.Contains(steps, c.step) && slices.ContainsFunc(faults, func(k faultKind) bool {
			return k.name == c.fault && (k.inject != nil || c.step == stepBegin) && (k.before != nil || c.step != stepBegin)
		})
		if !known {
			t.Errorf("%v is not known, or there is no way to inject it", c)
		}
		for _, o := range []outcome{ended, stranger, ""} {
			if c.onProbation.allows(o) || o != "" && c.final.allows(o) {
				t.Errorf("%v is right though %q", c, o)
			}
		}
		if c.step.onProbation() != (c.final == "") {
			t.Errorf("%v: what comes of it without a probation is %v", c, c.final)
		}
	}
	n := 0
	for _, p := range promises {
		n += len(strings.Fields(p.faults)) * len(strings.Fields(p.steps))
		if p.why == "" && p.faults != "none" {
			t.Errorf("%+v", p)
		}
	}
	if n != len(table) {
		t.Errorf("%d cells are promised, and %d in the table", n, len(table))
	}
	for _, name := range shortForm {
		if !slices.Contains(names, name) {
			t.Errorf("no cell %s", name)
		}
	}

	// Every fault that can come at any step is tried at every step.
	for _, s := range steps[1:] {
		need := []fault{faultKillOld, "stop-old", faultStopNew, "suspend", "kill-new"}
		if s != stepStart {
			need = append(need, "cut")
		}
		if s != stepStart && s != stepDrain && s != stepAdopted { // a frame is on its way
			need = append(need, "truncate", "garbage")
		}
		for _, f := range need {
			if name := (cell{step: s, fault: f}).String(); !slices.Contains(names, name) {
				t.Errorf("no cell %s", name)
			}
		}
	}
	for _, f := range faults {
		if !slices.ContainsFunc(table, func(c cell) bool { return c.fault == f.name }) {
			t.Errorf("%s is never tried", f.name)
		}
	}
}

// TestChoose: there are no cells for what a program can't do.
func TestChoose(t *testing.T) {
	t.Parallel()
	o := &options{}
	modest := o.choose(heard{seen: []step{stepHello, stepCommit}})
	for s, want := range map[step]bool{stepOffer: false, stepH2Taken: false, stepTLSOffer: false, stepLateTaken: false, stepAdopted: false, stepTickets: false, stepProbation: false, stepDrain: true} {
		if slices.ContainsFunc(modest, func(c cell) bool { return c.step == s }) != want {
			t.Errorf("for a program that moves nothing: %v", modest)
		}
	}
	for _, missing := range steps {
		seen := slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s == missing })
		chosen := o.choose(heard{seen: seen, onProbation: true})
		if missing.depends() == slices.ContainsFunc(chosen, func(c cell) bool { return c.step == missing }) {
			t.Errorf("for a program that does not get to %s: %v", missing, chosen)
		}
	}
	able := heard{seen: steps, onProbation: true}
	all := o.choose(able)
	if len(all) != len(table)-1 {
		t.Errorf("%d cells of %d", len(all), len(table))
	}
	o.short = true
	if short := o.choose(able); len(short) == 0 || len(short) > len(all)/4 {
		t.Errorf("the short form has %d cells of %d", len(short), len(all))
	}
}

// TestStepsOf: each step that is a frame comes with it.
func TestStepsOf(t *testing.T) {
	t.Parallel()
	reached := append([]step{stepBegin, stepStart, stepDrain, stepAdopted}, stepsOf(wire.Pong, true, offered{})...)
	for f := range wire.Type(255) {
		reached = append(append(reached, stepsOf(f, false, offered{})...), stepsOf(f, false, offered{true, true, true, true})...)
	}
	for _, s := range steps {
		if !slices.Contains(reached, s) {
			t.Errorf("%s is never reached", s)
		}
	}
	for _, tt := range []struct {
		frame wire.Type
		due   bool
		of    offered
		want  []step
		after step
	}{
		{wire.Pong, false, offered{}, []step{stepProbation}, ""},
		{wire.Pong, true, offered{}, []step{stepLast}, ""},
		{wire.Confirmed, true, offered{http2: true, webSockets: true}, []step{stepConfirmed}, stepDrain},
		{wire.Offer, false, offered{}, []step{stepOffer}, ""},
		{wire.Offer, false, offered{http2: true}, []step{stepH2Offer}, ""},
		{wire.Taken, true, offered{webSockets: true}, []step{stepWSTaken}, stepAdopted},
		{wire.Taken, false, offered{http2: true, webSockets: true}, []step{stepH2Taken, stepWSTaken}, stepAdopted},
		{wire.Taken, false, offered{late: true}, []step{stepTaken}, ""},
		{wire.Taken, false, offered{tls: true}, []step{stepTLSTaken}, ""},
		{wire.Taken, false, offered{tls: true, late: true}, []step{stepTLSTaken, stepLateTaken}, stepAdopted},
		{wire.Offer, false, offered{http2: true, tls: true, late: true}, []step{stepH2Offer, stepTLSOffer, stepLateOffer}, ""},
	} {
		at := stepsOf(tt.frame, tt.due, tt.of)
		if !slices.Equal(at, tt.want) || after(at) != tt.after {
			t.Errorf("%v, due %v, of %+v: %s, and then %q", tt.frame, tt.due, tt.of, at, after(at))
		}
	}
}

func TestOfferedIn(t *testing.T) {
	t.Parallel()
	ln := &wire.Listener{Network: "tcp", Address: ":0"}
	for _, tt := range []struct {
		conns []wire.Conn
		want  offered
	}{
		{[]wire.Conn{{Listener: ln}, {Name: "echo"}}, offered{}},
		{[]wire.Conn{{Listener: ln}, {Listener: ln, Name: wire.NameHTTP2}}, offered{http2: true}},
		{[]wire.Conn{{Name: "wsmove.1:kit"}, {Listener: ln, Name: wire.NameHTTP2}}, offered{http2: true, webSockets: true}},
		{[]wire.Conn{{Listener: ln, Name: wire.NameHTTP2}, {Name: "wsmove.1:kit"}, {Listener: ln}}, offered{http2: true, webSockets: true}},
		{[]wire.Conn{{Listener: ln}, {Listener: ln, TLS: 3}}, offered{tls: true}},
		{[]wire.Conn{{Name: "wsmove.1:kit", TLS: 3}, {Listener: ln}}, offered{webSockets: true, tls: true}},
	} {
		var secrets [][]byte
		for _, c := range tt.conns {
			if c.TLS > 0 {
				secrets = append(secrets, make([]byte, c.TLS))
			}
		}
		b, err := wire.AppendOffer(nil, wire.OfferMsg{Conns: tt.conns}, secrets)
		if err != nil {
			t.Fatal(err)
		}
		f, err := wire.Read(bytes.NewReader(b))
		if got := offeredIn(f); err != nil || got != tt.want {
			t.Errorf("%+v: %+v, %v", tt.conns, got, err)
		}
	}
}
