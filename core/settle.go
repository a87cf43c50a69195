package core

import (
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// What this process was started with is a claim of whoever has started it. Here it is settled what of that is believed,
// before main runs, and it leaves the environment: a program that this one starts must not take it for its own.

// doubt is a claim that is not believed.
type doubt struct {
	text  string
	about string // a word; "" for none
	err   error  // nil for none
}

// settled is the startup as it is believed.
func (st startup) settled() startup {
	switch {
	case st.graceful && st.control < 0 && st.err == nil:
		st.plain = foreign.Graceful()
		if st.plain.Parent == nil { // whoever has started this process has opened the listener for it
			st.start, st.plain, st.graceful = st.plain, nil, false
		}
	case !st.graceful && st.link == nil && st.start == nil:
		if word := foreign.Ignored(foreign.Here()); word != "" {
			st.doubts = append(st.doubts, doubt{text: "the word does not mean an upgrade: descriptor 3 is no listener", about: word})
		}
	}
	if start := st.foreignStart(); start != nil && start.Doubt != nil {
		st.doubts = append(st.doubts, doubt{text: "the process that has started this one gets no signal; end it if it is the old process", about: start.Sign, err: start.Doubt})
	}
	if err := st.speaks(); err != nil {
		st.doubts = append(st.doubts, doubt{text: "the service manager is not told anything", err: err})
		st.launch.Env = slices.DeleteFunc(st.launch.Env, func(s string) bool {
			name, _, _ := strings.Cut(s, "=")
			return slices.Contains(sdnotify.Vars(), name)
		})
	}
	hide()
	return st
}

// foreignStart is how a program that does not speak gracex's protocol has started this process; nil without one.
func (st *startup) foreignStart() *foreign.Start {
	if st.plain != nil {
		return st.plain
	}
	return st.start
}

// hide takes the variables that are for this process alone out of the environment. The next generation gets them
// by its launch, which has them already.
func hide() {
	sdnotify.Take()
	for _, s := range os.Environ() {
		if name, _, _ := strings.Cut(s, "="); name == wire.EnvMode || foreign.IsActivation(name) {
			_ = os.Unsetenv(name)
		}
	}
}

// logDoubts logs them, once.
func (st *startup) logDoubts(log *slog.Logger) {
	for _, d := range st.doubts {
		var args []any
		if d.about != "" {
			args = append(args, "sign", d.about)
		}
		if d.err != nil {
			args = append(args, "error", d.err)
		}
		log.Warn(d.text, args...)
	}
	st.doubts = nil
}
