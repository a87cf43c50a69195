// Package logging has the form of what gracex logs, whatever the program's handler makes of it.
package logging

import (
	"context"
	"log/slog"
)

// WithUnits returns a logger that writes durations as strings with units. A JSON handler would write them as
// numbers of nanoseconds.
func WithUnits(l *slog.Logger) *slog.Logger { return slog.New(handler{l.Handler()}) }

type handler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	var attrs []slog.Attr
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, withUnits(a))
		return true
	})
	plain := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	plain.AddAttrs(attrs...)
	return h.Handler.Handle(ctx, plain)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(allWithUnits(attrs))}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

func allWithUnits(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = withUnits(a)
	}
	return out
}

func withUnits(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindDuration:
		return slog.String(a.Key, a.Value.Duration().String())
	case slog.KindGroup:
		a.Value = slog.GroupValue(allWithUnits(a.Value.Group())...)
	default:
	}
	return a
}
