// Package logging has the form of what gracex logs, whatever the program's handler makes of it.
package logging

import (
	"context"
	"log/slog"

	"github.com/gracex-go/gracex/core/internal/text"
)

// Readable returns a logger whose values a person can read. Durations are strings with units: a JSON handler would
// write them as numbers of nanoseconds. In strings and errors, which can have words of other processes, characters that
// would do something to a terminal are escaped. Errors are bounded.
func Readable(l *slog.Logger) *slog.Logger { return slog.New(handler{l.Handler()}) }

type handler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	var attrs []slog.Attr
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, readable(a))
		return true
	})
	plain := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	plain.AddAttrs(attrs...)
	return h.Handler.Handle(ctx, plain)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(allReadable(attrs))}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

func allReadable(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = readable(a)
	}
	return out
}

func readable(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindDuration:
		return slog.String(a.Key, a.Value.Duration().String())
	case slog.KindString:
		return slog.String(a.Key, text.Lines(a.Value.String()))
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			return slog.Any(a.Key, text.Error(err))
		}
	case slog.KindGroup:
		a.Value = slog.GroupValue(allReadable(a.Value.Group())...)
	default:
	}
	return a
}
