package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/page"
)

func newUI(t *target) *cobra.Command {
	var listen string
	var readOnly bool
	c := &cobra.Command{
		Use:   "ui",
		Short: "Show the app in a browser",
		Long: `Show the app in a browser: its processes, the connections as they move, requests, errors and
latencies by version, counts and events, with buttons to upgrade, roll back, promote and stop.

The page is served on the loopback interface alone, until Ctrl-C. Its address has a token, so
that other users of this machine can't open it. For a host elsewhere, forward the port:
ssh -L 8090:127.0.0.1:8090 HOST gracex ui --listen 127.0.0.1:8090`,
		Example: `  gracex ui
  gracex ui --pid-file /run/shop.pid --read-only`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c)
			defer stop()
			ln, err := page.ListenLocal(listen)
			if errors.Is(err, page.ErrNotLoopback) {
				return usagef("--listen: %w", err)
			}
			if err != nil {
				return err
			}
			defer ln.Close()
			client, status, err := t.find(ctx)
			if err != nil {
				return err
			}
			h, token := page.Local(page.Config{Source: shownApp{client}, Actions: func(*http.Request) bool { return !readOnly }})
			s := newScreen(c.OutOrStdout())
			if err := s.line("%s is shown at\n\n    http://%s/#token=%s\n\nCtrl-C ends it", control.Process(status.PID, status.Version), ln.Addr(), token); err != nil {
				return err
			}
			return serveUntil(ctx, ln, h)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "`address` of the loopback interface; port 0 is a free one")
	c.Flags().BoolVar(&readOnly, "read-only", false, "without the buttons")
	return c
}

// serveUntil serves until ctx ends.
func serveUntil(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer ended()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// shownApp is an app in another process.
type shownApp struct{ *control.Client }

// Stop ends the process, too, if its main function does not return, as "gracex stop" does.
func (a shownApp) Stop(ctx context.Context) error { return a.End(ctx) }
