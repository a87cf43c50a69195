package wsmove

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/gracex-go/gracex/core"
)

// maxName is OnHandoff's bound, less handoffPrefix.
const maxName = 255 - len(handoffPrefix)

// Handler returns a handler that keeps the WebSocket connections of h open through an upgrade, if their handlers call
// Move. It has to be the outermost handler of the server, because in the new process h is called again with the same
// request. All that is around it, as middleware with a login, would not be. Requests that ask for no WebSocket go to h
// as they are.
//
// Both processes know the connections by name. Each Handler of a program has another one. Call Handler before the
// process is ready, and so before core.Serve or within core.Run's function. It panics if the name is empty or has more
// than 246 bytes.
func Handler(name string, h http.Handler, opts ...Option) http.Handler {
	m := newMover(name, h, thisProcess, opts)
	core.OnHandoff(m.name, m.adopt)
	return m
}

func newMover(name string, h http.Handler, p process, opts []Option) *mover {
	if name == "" || len(name) > maxName {
		//nolint:forbidigo // a mistake in the wiring, as Handler says
		panic("wsmove: Handler: the name has to have 1 to " + strconv.Itoa(maxName) + " bytes")
	}
	m := &mover{
		name: handoffPrefix + name, handler: h, core: p, log: slog.New(slog.DiscardHandler),
		settleTime: DefaultSettle, gatherTime: DefaultGather, spread: DefaultSpread, handshakeTime: handshakeLimit, gateTime: gateLimit, goodbyeTime: goodbyeLimit, quiet: quietTicks,
		conns: make(map[*conn]struct{}), gates: make(map[uint64]*gate), slots: make(chan struct{}, handshakes),
	}
	for _, o := range opts {
		o(m)
	}
	return m
}

// ServeHTTP is http.Handler's.
func (m *mover) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !asksForWebSocket(r) {
		m.handler.ServeHTTP(w, r)
		return
	}
	s := &Session{m: m, request: headOf(r), returned: make(chan struct{})}
	defer close(s.returned)
	switch {
	case r.Pattern != "":
		s.fix("wsmove.Handler is not the outermost handler")
	case len(s.request) > maxRequest:
		s.fix("its request is longer than " + strconv.Itoa(maxRequest) + " bytes")
	}
	m.watch()
	m.handler.ServeHTTP(&firstResponse{ResponseWriter: w, s: s}, s.with(r))
}

// asksForWebSocket reports whether r is an opening handshake (RFC 6455, section 4.1).
func asksForWebSocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}
