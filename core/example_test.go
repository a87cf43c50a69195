package core_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/health"
)

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }

// exitOn ends a program that can't serve. After a clean stop or a handover there is no error, and log.Fatal would
// make a failure of it. After a stop that has cut what was left there is ErrCut, which is none of the program's.
func exitOn(err error) {
	if err != nil && !errors.Is(err, core.ErrCut) {
		slog.Error("serve", "error", err)
		os.Exit(1)
	}
}

// The one-line change of a net/http program. kill -USR2 then replaces it by the
// binary that is on disk.
func ExampleListenAndServe() {
	http.HandleFunc("/", hello)
	err := core.ListenAndServe(":8080", nil, core.WithLogger(slog.Default()))
	if err != nil && !errors.Is(err, core.ErrCut) {
		slog.Error("serve", "error", err)
		os.Exit(1) // and 0 after a clean stop or a handover: not log.Fatal
	}
}

func ExampleListenAndServeTLS() {
	exitOn(core.ListenAndServeTLS(":8443", "cert.pem", "key.pem", http.HandlerFunc(hello)))
}

// Others can't have the service execute a program of theirs.
func ExampleWithTrustedBinary() {
	exitOn(core.ListenAndServe(":8080", nil, core.WithTrustedBinary()))
}

// A unit with WorkingDirectory=/srv/shop/current needs no option. This program is started elsewhere, and its templates
// are in the current release.
func ExampleWithWorkingDirectory() {
	exitOn(core.ListenAndServe(":8080", nil, core.WithWorkingDirectory("/srv/shop/current")))
}

// A new version gets a variable that the first start did not have.
func ExampleWithEnvironment() {
	exitOn(core.ListenAndServe(":8080", nil, core.WithEnvironment(func(old []string) []string {
		return append(old, "SHOP_CURRENCY=EUR")
	})))
}

// What is to happen once for the whole service, and not in each upgrade.
func ExampleUpgrading() {
	if !core.Upgrading() {
		fmt.Fprintln(os.Stderr, "the service starts")
	}
	exitOn(core.ListenAndServe(":8080", nil))
}

// A program that says more to systemd than this package does.
func ExampleNotifySocket() {
	socket := core.NotifySocket()
	if socket == "" {
		return // there is no service manager, or it did not start this process
	}
	c, err := net.Dial("unixgram", socket)
	if err != nil {
		exitOn(err)
	}
	_, err = c.Write([]byte("FDSTOREREMOVE=1\nFDNAME=cache"))
	exitOn(errors.Join(err, c.Close()))
}

// UDP: no datagram is lost between the two processes that read from the socket.
func ExampleUpgrader_ListenPacket() {
	err := core.Run(func(u *core.Upgrader) error {
		pc, err := u.ListenPacket(context.Background(), "udp", ":9053")
		if err != nil {
			return err
		}
		go func() {
			defer pc.Close() // which the drain waits for
			b := make([]byte, 65507)
			for {
				n, from, err := pc.ReadFrom(b)
				if err != nil {
					return // this process drains
				}
				_, _ = pc.WriteTo(b[:n], from)
			}
		}()
		return nil
	})
	exitOn(err)
}

// A file that stays open from generation to generation.
func ExampleUpgrader_AddFile() {
	err := core.Run(func(u *core.Upgrader) error {
		journal, err := u.File("journal")
		if errors.Is(err, fs.ErrNotExist) { // the first generation
			if journal, err = os.Create("/var/lib/app/journal"); err == nil {
				err = u.AddFile("journal", journal)
			}
		}
		if err != nil {
			return err
		}
		ln, err := u.Listen(context.Background(), "tcp", ":8080")
		if err != nil {
			return err
		}
		return u.Attach(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(journal, r.URL)
			hello(w, r)
		})}, ln)
	})
	exitOn(err)
}

// Package grpcx does that. It also ends the server when its last connection has moved.
func ExampleUpgrader_HTTP2Listener() {
	serve := func(srv, probe interface{ Serve(net.Listener) error }) error { // each is a *grpc.Server
		return core.Run(func(u *core.Upgrader) error {
			ln, err := u.Listen(context.Background(), "tcp", ":9090")
			if err != nil {
				return err
			}
			go func() { _ = srv.Serve(u.HTTP2Listener(ln, probe.Serve)) }()
			return nil
		})
	}
	_ = serve
	// Output:
}

// Package grpcx does that, with shake of credentials.NewTLS.
func ExampleHTTP2Handshake() {
	conf := core.HTTP2TLSConfig("grpc", &tls.Config{NextProtos: []string{"h2"}})
	handshake := func(accepted net.Conn) (net.Conn, error) {
		c, _, err := core.HTTP2Handshake(accepted, func(below net.Conn) (net.Conn, error) {
			tc := tls.Server(below, conf)
			return tc, tc.Handshake()
		})
		return c, err
	}
	_ = handshake
	// Output:
}

// A port for metrics beside the service. A nil handler is http.DefaultServeMux, on which net/http/pprof
// registers.
func ExampleAlsoServe() {
	metrics := http.HandlerFunc(hello) // promhttp.Handler(), say
	exitOn(core.ListenAndServe(":8080", http.HandlerFunc(hello),
		core.AlsoServe(":9090", metrics, core.Named("metrics")),
		core.AlsoServe("127.0.0.1:6060", nil, core.Named("pprof"))))
}

// HTTPS beside HTTP.
func ExampleAlsoServeTLS() {
	exitOn(core.ListenAndServe(":80", http.HandlerFunc(hello),
		core.AlsoServeTLS(":443", "cert.pem", "key.pem", http.HandlerFunc(hello))))
}

// A listener with TLS of the program's own. Its clients resume their sessions after an upgrade.
func ExampleTicketKeys() {
	cert, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	exitOn(err)
	conf := core.TicketKeys("api", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
	ln, err := core.Listen(context.Background(), "tcp", ":8443")
	exitOn(err)
	exitOn(core.ServeListener(&http.Server{Handler: http.HandlerFunc(hello)}, tls.NewListener(ln, conf)))
}

// A second server with settings of its own.
func ExampleAlsoServeServer() {
	admin := &http.Server{Addr: "127.0.0.1:9091", Handler: http.HandlerFunc(hello), ReadHeaderTimeout: time.Second}
	exitOn(core.ListenAndServe(":8080", http.HandlerFunc(hello), core.AlsoServeServer(admin, core.Named("admin"))))
}

// Two servers, each by a call of its own. Both calls have the same options.
func ExampleRun_twoCalls() {
	opts := []core.Option{core.WithPIDFile("/run/app/app.pid")}
	ended := make(chan error, 2)
	go func() { ended <- core.ListenAndServe(":9090", http.NotFoundHandler(), opts...) }()
	go func() { ended <- core.ListenAndServe(":8080", http.HandlerFunc(hello), opts...) }()
	exitOn(errors.Join(<-ended, <-ended))
}

// A program that is told by a flag which descriptor its socket is.
func ExampleListenFD() {
	ln, err := core.ListenFD(3)
	exitOn(err)
	exitOn(core.ServeListener(&http.Server{Handler: http.HandlerFunc(hello)}, ln))
}

// Hooks around what a signal does, and the keep-alive probes that a program has had before.
func ExampleOnSignal() {
	err := core.ListenAndServe(":8080", http.HandlerFunc(hello),
		core.OnSignal(syscall.SIGTERM, func() { slog.Info("leaving the cluster") }, nil),
		core.WithKeepAlive(net.KeepAliveConfig{Enable: true, Idle: 3 * time.Minute}))
	exitOn(err)
}

// A listener that is wrapped, as programs do to limit or log connections.
func ExampleServeListener() {
	ln, err := core.Listen(context.Background(), "tcp", ":8080") // not net.Listen
	exitOn(err)
	wrapped := struct{ net.Listener }{ln} // netutil.LimitListener(ln, 1000), say
	exitOn(core.ServeListener(&http.Server{Handler: http.HandlerFunc(hello)}, wrapped))
}

// A server with settings of its own.
func ExampleServe() {
	srv := &http.Server{
		Addr:              ":8080",
		Handler:           http.HandlerFunc(hello),
		ReadHeaderTimeout: 5 * time.Second,
	}
	err := core.Serve(srv,
		core.WithDrainTimeout(time.Minute),
		core.OnDrainTimeout(func(left core.Remaining) {
			slog.Warn("about to cut", "left", left.String())
		}),
	)
	if errors.Is(err, core.ErrCut) {
		slog.Warn("some work was cut", "error", err)
	}
}

// Two servers and a unix socket in one process.
func ExampleRun() {
	err := core.Run(func(u *core.Upgrader) error {
		public, err := u.Listen(context.Background(), "tcp", ":8080")
		if err != nil {
			return err
		}
		admin, err := u.Listen(context.Background(), "unix", "/run/app/admin.sock")
		if err != nil {
			return err
		}
		if err := u.Attach(&http.Server{Handler: http.HandlerFunc(hello)}, public); err != nil {
			return err
		}
		return u.Attach(&http.Server{Handler: http.NotFoundHandler()}, admin)
	}, core.WithPIDFile("/run/app/app.pid"))
	exitOn(err)
}

// A program that is not an HTTP server: an accept loop of its own.
func ExampleNew() {
	u, err := core.New()
	exitOn(err)
	ln, err := u.Listen(context.Background(), "tcp", ":7")
	exitOn(err)
	go func() {
		for {
			c, err := ln.Accept() // from Ready until the drain begins
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				time.Sleep(10 * time.Millisecond) // out of descriptors, say
				continue
			}
			go func() {
				defer c.Close() // the drain waits for it
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	exitOn(u.Ready())
	<-u.Done()
}

// An upgrade from inside the program, which can be waited for.
func ExampleUpgrader_Upgrade() {
	u, err := core.New(core.WithSignals(core.Signals{}))
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	res, err := u.Upgrade(ctx)
	var start *core.StartError
	switch {
	case errors.Is(err, core.ErrVetoed):
		fmt.Println("not now:", err)
	case errors.As(err, &start):
		fmt.Println("the new version does not work:", start)
	case err == nil:
		fmt.Println("replaced by process", res.PID)
	}
}

// An upgrade to a release that was unpacked into /srv/shop/releases. The symlink is switched when the release has passed
// its probation: until then a crash starts the one before it.
func ExampleUpgrader_UpgradeTo() {
	u, err := core.New(core.WithSignals(core.Signals{}))
	if err != nil {
		return
	}
	_, err = u.UpgradeTo(context.Background(), "1.5.0")
	if errors.Is(err, core.ErrNoRelease) {
		fmt.Println("it is not there:", err)
	}
	if err == nil {
		err = os.Symlink("releases/1.5.0", "/srv/shop/current.new")
	}
	if err == nil {
		err = os.Rename("/srv/shop/current.new", "/srv/shop/current")
	}
	fmt.Println(err)
}

// A deployer, user 1001, may upgrade the service and roll it back, and can't run anything else as its user.
func ExampleWithOperators() {
	exitOn(core.ListenAndServe(":8080", nil, core.WithControlSocket("/run/shop/control.sock"), core.WithOperators(1001)))
}

// A stream of events that ends when its process is replaced. Its client comes
// back and reaches the new one.
func ExampleDraining() {
	http.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-core.Draining(r.Context()):
				fmt.Fprint(w, "event: goodbye\n\n")
				return
			case <-r.Context().Done():
				return
			case now := <-tick.C:
				fmt.Fprintf(w, "data: %s\n\n", now.Format(time.RFC3339))
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
}

// A new version that can't reach its database never takes over.
func ExampleWithReadyCheck() {
	ping := func(context.Context) error { return nil }
	_ = core.ListenAndServe(":8080", nil, core.WithReadyCheck(ping), core.WithReadyTimeout(10*time.Second))
}

// No deploys while a report is being written.
func ExampleOnPreFork() {
	busy := func() bool { return false }
	_ = core.ListenAndServe(":8080", nil, core.OnPreFork(func(context.Context) error {
		if busy() {
			return errors.New("a report is being written")
		}
		return nil
	}))
}

// The first crash is answered with another process, too. First in main, because a process that becomes the
// supervisor starts the program anew.
func ExampleSupervise() {
	core.Supervise()
	// Open the database, build the handler.
	exitOn(core.ListenAndServe(":8080", nil, core.WithLogger(slog.Default())))
}

// An upgrade whose outcome the deploy script gets to know: "gracex upgrade" asks here.
func ExampleWithControlSocket() {
	err := core.ListenAndServe(":8080", nil,
		core.WithControlSocket("/run/shop/control.sock"),
		core.WithVersion("1.4.2"))
	exitOn(err)
}

// Health checks, with one of the program's own.
func ExampleReadiness() {
	database := func(context.Context) error { return errors.New("connection refused") } // db.PingContext
	healthy := core.Readiness(health.Config{
		Checks: []health.Check{{Name: "database", Run: database, Timeout: 500 * time.Millisecond}},
	})
	_ = core.ListenAndServe(":8080", healthy(http.HandlerFunc(hello)))
}

// An adapter for a framework, whose context is C, in a few lines.
func ExampleReadinessFor() {
	type C struct {
		Response http.ResponseWriter
		Request  *http.Request
	}
	readiness := func(config ...health.ConfigFor[C]) func(C, func(C)) {
		answer := core.ReadinessFor(config...)
		return func(c C, next func(C)) {
			if !answer(c, c.Response, c.Request) {
				next(c)
			}
		}
	}
	_ = readiness()
}

// A load balancer that asks every 2 s and acts on the third failure in a row needs 6 s.
func ExampleWithPreStopDelay() {
	healthy := core.Readiness()
	_ = core.ListenAndServe(":8080", healthy(http.HandlerFunc(hello)), core.WithPreStopDelay(8*time.Second))
}

func ExampleStatus() {
	http.HandleFunc("/debug/gracex", func(w http.ResponseWriter, _ *http.Request) {
		st := core.Status()
		fmt.Fprintf(w, "generation %d is %v: %d connections, %d requests, open: %v\n",
			st.Generation, st.State, st.Ledger.Accepted, st.Ledger.Served, st.Ledger.Open)
	})
}

// A consumer of a queue that runs in one process at a time.
func ExampleWhileCurrent() {
	queue := make(chan string)
	consume := func(ctx context.Context) error {
		for {
			select {
			case msg := <-queue:
				slog.Info("done", "message", msg) // finished, also if the context ends meanwhile
			case <-ctx.Done():
				return nil // now the next process may begin
			}
		}
	}
	exitOn(core.ListenAndServe(":8080", http.HandlerFunc(hello), core.WhileCurrent(consume)))
}
