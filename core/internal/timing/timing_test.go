package timing

import (
	"math"
	"testing"
	"time"
)

// TestOrder_HoldsWhatTheProcessesRelyOn has the inequalities between the durations.
func TestOrder_HoldsWhatTheProcessesRelyOn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why        string
		less, more time.Duration
	}{
		{"the new process waits for commit while the old one pauses its listeners", PIDFile + Blocked + Close + Say, Word},
		{"a new process answers on probation although the pid file's disk does not", PIDFile, Silence},
		{"a stop that says its last words is over before the process is killed", PIDFile + LastWords, Kill},
		{"a beat is missed several times before a new process counts as silent", 4 * MaxBeat, Silence},
		{"the beats have an order", MinBeat, MaxBeat},
		{"silence is noticed while the service can be taken back", Silence + (2+Parts)*MaxBeat, TooLate},
		{"the old process decides before the new one goes on alone", TooLate + 2*Say, Alone},
		{"a process that hangs has answered pings for longer than one that is silent", Silence, Confirm},
		{"the hooks at a deadline end before the old process is killed", Hook, 2*Kill - Dismiss},
		{"a main has time after the signal that it may wait for", 2 * Kill, Main},
		{"a foreign master passes the stop on before this process is killed", Dismiss, Kill},
		{"an end is looked for twice before the supervisor gives a worker up", (2 + Parts) * Reap, TakeBack},
		{"some that start at once replace a dead socket, one after another", 2 * Knock, Bind},
		{"a report is late before it is asked for again", Report, AskAgain},
		{"a service manager is asked for time twice before it is over", 2 * ExtendEvery, ExtendBy},
		{"who asks what was counted is answered before a process that ends hangs up", Shown, LastAnswers},
		{"two signs of one end come before the process is given up", Exit, HangUp},
	} {
		if tt.less >= tt.more {
			t.Errorf("%s: %v is not less than %v", tt.why, tt.less, tt.more)
		}
	}
}

func TestAdd_StopsAtTheLongestTime(t *testing.T) {
	t.Parallel()
	if got := Add(math.MaxInt64, time.Second); got != math.MaxInt64 {
		t.Errorf("%v", got)
	}
	if got := Add(time.Minute, time.Second); got != time.Minute+time.Second {
		t.Errorf("%v", got)
	}
}

func TestLimit_OfZeroIsNone(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]time.Duration{-1: Unlimited, 0: Unlimited, 1: 1, Unlimited: Unlimited} {
		if got := Limit(d); got != want {
			t.Errorf("Limit(%v) = %v, want %v", d, got, want)
		}
	}
	if time.Now().Add(Unlimited+Unlimited).Before(time.Now()) || Unlimited+Unlimited < Unlimited {
		t.Error("a sum of two limits can't be expressed")
	}
}
