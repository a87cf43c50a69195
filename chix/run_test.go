package chix_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/chix"
	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/must"
)

// The tests are not parallel: a process has one Upgrader.

// What can't be served is an error that names it, and never nil.
func TestErrors(t *testing.T) {
	closed := &http.Server{Addr: "127.0.0.1:0"}
	closed.Close()
	broken := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	broken.Close()
	dir := t.TempDir()
	for _, tt := range []struct {
		err  error
		text string
		is   error
	}{
		{chix.ListenAndServe("127.0.0.1:nonsense", nil), "gracex: listen tcp 127.0.0.1:nonsense: ", nil},
		{chix.ListenAndServeTLS("127.0.0.1:0", dir+"/crt", dir+"/key", nil), "open " + dir + "/crt", nil},
		{chix.ListenAndServeUnix("", nil), "gracex: listen unix : a unix socket needs a path", nil},
		{chix.ListenAndServeUnix(filepath.Join(dir, "none", "sock"), nil), "none/sock: ", nil},
		{chix.Serve(closed), "http: Server closed", http.ErrServerClosed},
		{chix.ServeTLS(&http.Server{Addr: "127.0.0.1:0"}, "", ""), "no certificate: name the files, or set", nil},
		{chix.ServeListener(&http.Server{}, broken), broken.Addr().String(), net.ErrClosed},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.text) || !strings.HasPrefix(tt.err.Error(), "gracex: ") {
			t.Errorf("error %v, want gracex: ...%s...", tt.err, tt.text)
		}
		if tt.is != nil && !errors.Is(tt.err, tt.is) {
			t.Errorf("error %v is not %v", tt.err, tt.is)
		}
	}
}

// A listener is closed by whoever could not serve on it, but not by a second server in
// the process: it may be the first one's.
func TestListenerAfterAnError(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no database"))
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	fails := core.WithReadyCheck(func(context.Context) error { return context.Cause(ctx) })
	if err := chix.ServeListener(&http.Server{}, ln, fails); err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("served: %v", err)
	}
	if err := ln.(*net.TCPListener).SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}

	u := must.Get(core.New(core.WithSignals(core.Signals{})))(t)
	ln = must.Get(u.Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	must.Do(t, u.Attach(&http.Server{Handler: http.NotFoundHandler()}, ln))
	must.Do(t, u.Ready())
	if err := chix.ServeListener(&http.Server{}, ln); !errors.Is(err, core.ErrRunning) {
		t.Errorf("a second server gets %v", err)
	}
	resp, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatalf("the first server does not serve any more: %v", err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	must.Do(t, u.Stop(t.Context()))
}
