package core

import (
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/internal/foreign"
)

// TestTakeMode: a process is no supervisor if it has sockets of another program's, unless it has been one before its
// execve. It is not parallel: the variables are the process's.
func TestTakeMode(t *testing.T) {
	word := &foreign.Start{Protocol: "gracehttp"} // a word that may be the program's own
	for name, tt := range map[string]struct {
		mode, frozen string
		given        bool // the variable of the frozen supervisor
		start        *foreign.Start
		want         bool
	}{
		"nothing":             {},
		"self":                {mode: "self"},
		"supervised":          {mode: "supervised", want: true},
		"supervised, sockets": {mode: "supervised", start: word},
		"Supervise":           {given: true, want: true},
		"Supervise, sockets":  {given: true, start: word},
		"before its execve":   {given: true, frozen: "{}", start: word, want: true},
	} {
		t.Setenv(EnvMode, tt.mode)
		var st startup
		if tt.given {
			_, v, _ := strings.Cut(toSupervise(tt.frozen), "=")
			t.Setenv(envSupervise, v)
		}
		if got, frozen := st.takeMode(tt.start); got != tt.want || frozen != tt.frozen || st.modeErr != nil {
			t.Errorf("%s: %v, %q, %v", name, got, frozen, st.modeErr)
		}
	}
}
