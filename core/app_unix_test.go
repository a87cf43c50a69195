//go:build unix

package core_test

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/wire"
)

func init() { programs["app"] = playApp }

// appConfig is what the app's command line says.
type appConfig struct {
	listen, packets                                       []string
	drain, prestop, probation, ready                      time.Duration
	share                                                 float64
	draining, descriptor                                  int
	pidfile, control, version, cert, key                  string
	handoff, tlsHandoff, wrap, h2c, hooks, linger, forget bool
	goroutine                                             bool
	own                                                   bool   // SIGTERM is handled, as in programs that know no gracex
	dir                                                   string // where it was started
	workdir                                               string // for the next process
}

// parseApp reads the command line. A file "listen" replaces the addresses, a file "drain" the drain timeout, a file
// "probation" that of the process after it.
func parseApp() *appConfig {
	c := &appConfig{own: os.Getenv("APP_OWN") != ""}
	onProbation, _ := time.ParseDuration(os.Getenv("APP_PROBATION"))
	for name, list := range map[string]*[]string{"listen": &c.listen, "packet": &c.packets} {
		flag.Func(name, "`network,address[,way]`, may be repeated; attach knows the ways", func(s string) error {
			*list = append(*list, s)
			return nil
		})
	}
	flag.DurationVar(&c.drain, "drain", core.DefaultDrainTimeout, "")
	flag.DurationVar(&c.prestop, "prestop", 0, "")
	flag.DurationVar(&c.probation, "probation", onProbation, "how long the next process is on it")
	flag.DurationVar(&c.ready, "ready", core.DefaultReadyTimeout, "")
	flag.Float64Var(&c.share, "share", core.DefaultProbationShare, "")
	flag.IntVar(&c.draining, "maxdraining", 0, "")
	addr := flag.String("addr", "", "a TCP address, as testdata/plain has it")
	flag.StringVar(&c.pidfile, "pidfile", "", "")
	flag.StringVar(&c.control, "control", os.Getenv("APP_CONTROL"), "the control socket; empty: none; auto: left out")
	flag.StringVar(&c.version, "version", "", "")
	flag.StringVar(&c.cert, "cert", "", "")
	flag.StringVar(&c.key, "key", "", "")
	flag.IntVar(&c.descriptor, "fd", 0, "serve on this descriptor")
	chdir := flag.String("chdir", "", "where to go once started, as daemons do")
	flag.BoolVar(&c.handoff, "handoff", true, "let connections move")
	flag.BoolVar(&c.tlsHandoff, "tlshandoff", false, "let TLS connections move")
	flag.BoolVar(&c.wrap, "wrap", false, "hide the descriptors of connections")
	flag.BoolVar(&c.h2c, "h2c", false, "HTTP/2 without TLS, too")
	flag.BoolVar(&c.hooks, "hooks", false, "a ConnContext and a ConnState")
	flag.BoolVar(&c.linger, "linger", false, "wait for SIGTERM in main, and serve in a goroutine")
	flag.BoolVar(&c.goroutine, "goroutine", false, "main does not call Run itself")
	flag.BoolVar(&c.forget, "forget", false, "a ConnContext that drops what it is given")
	flag.StringVar(&c.workdir, "workdir", "", "where the next process is started")
	change := flag.Bool("change", false, "leave the surroundings that it was started in")
	graceful := flag.Bool("graceful", false, "must never arrive here")
	flag.Parse()
	if *change {
		changeSurroundings()
	}
	if *graceful {
		panic("the flag package saw -graceful")
	}
	if b, err := os.ReadFile("listen"); err == nil {
		c.listen = strings.Fields(string(b))
	}
	for file, d := range map[string]*time.Duration{"drain": &c.drain, "probation": &c.probation} {
		if b, err := os.ReadFile(file); err == nil {
			*d, err = time.ParseDuration(string(b))
			check(err)
		}
	}
	if *addr != "" {
		c.listen = append(c.listen, "tcp,"+*addr)
	}
	if c.descriptor != 0 {
		c.listen = append(c.listen, "fd,"+strconv.Itoa(c.descriptor))
	}
	if len(c.listen) == 0 {
		c.listen = []string{"tcp,127.0.0.1:0"}
	}
	c.dir, _ = os.Getwd()
	misbehave(mode()) // which finds its files here
	switch mode() {
	case "nohandoff":
		c.handoff = false
	case "notls":
		c.tlsHandoff = false
	}
	if *chdir != "" {
		check(os.Chdir(*chdir))
	}
	return c
}

// check ends the app for an error that no test expects.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// playApp is an ordinary program on gracex. A file "mode" beside it makes the generation that finds it misbehave.
func playApp() {
	err := serveApp(parseApp())
	end := event{Event: "end", Gen: core.Generation()}
	if err != nil {
		end.Err = err.Error()
	}
	emit(end)
	if err != nil {
		os.Exit(1)
	}
}

// serveApp serves until the process has drained. It emits an event where its goroutine ends inside.
func serveApp(c *appConfig) error {
	quit := make(chan os.Signal, 1)
	if c.own || c.linger {
		signal.Notify(quit, syscall.SIGTERM)
	}
	returned := false
	defer func() {
		if !returned {
			emit(event{Event: "deferred", Gen: core.Generation()})
		}
	}()
	serve := func() error { return core.Run(func(u *core.Upgrader) error { return c.run(u, quit) }, c.options()...) }
	if c.goroutine {
		serve = inGoroutine(serve)
	}
	err := serve()
	if mode() == "again" && core.Generation() > 0 {
		err = errors.Join(err, core.ListenAndServe("127.0.0.1:0", nil))
	}
	if c.linger {
		emit(event{Event: "lingers", Gen: core.Generation()})
		<-quit
	}
	returned = true
	return err
}

// inGoroutine is f in a goroutine of its own.
func inGoroutine(f func() error) func() error {
	return func() error {
		done := make(chan error)
		go func() { done <- f() }()
		return <-done
	}
}

// options are those of the app's Upgrader.
func (c *appConfig) options() []core.Option {
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	if mode() == "dieadopting" {
		options.ReplaceAttr = dieAdopting()
	}
	log := slog.NewTextHandler(os.Stderr, options)
	opts := []core.Option{
		core.WithConnectionHandoff(c.handoff), core.WithTLSHandoff(c.tlsHandoff), core.WithDrainTimeout(c.drain), core.WithReadyTimeout(c.ready),
		core.WithPIDFile(c.pidfile), core.WithVersion(c.version), core.WithPreStopDelay(c.prestop),
		core.WithTicketKeys(os.Getenv("APP_TICKETS") == ""), core.WithServerName(os.Getenv("APP_NAME")),
		core.WithProbation(c.probation), core.WithProbationShare(c.share), core.WithMaxDraining(c.draining),
		core.WithLogger(slog.New(log)),
		core.OnPreFork(func(context.Context) error {
			if mode() == "veto" {
				return errors.New("not on a Friday")
			}
			return nil
		}),
		core.OnPostFork(func(_ context.Context, pid int) {
			emit(event{Event: "postfork", Err: strconv.Itoa(pid)})
			stayIn("holdpost")
		}),
		core.OnDrainTimeout(func(r core.Remaining) {
			emit(event{Event: "draintimeout", Err: r.String()})
			stayIn("slowhook")
		}),
		core.OnReopen(func() { emit(event{Event: "reopen"}) }),
		core.WithReadyCheck(appReadyCheck),
	}
	if os.Getenv("APP_HOOKS") != "" {
		for _, sig := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGWINCH} {
			opts = append(opts, appOnSignal(sig))
		}
	}
	if os.Getenv("APP_EVENTS") != "" {
		opts = append(opts,
			core.WithUpgradeContext(func(e core.Event) string { return "from " + strconv.Itoa(e.By) }),
			core.OnEvent(func(e core.Event) {
				emit(event{Event: "happened", Gen: core.Generation(), Args: []string{e.Step, e.Attempt, e.Context}})
			}))
	}
	if os.Getenv("APP_ONEND") != "" {
		opts = append(opts, core.OnEnd(func(context.Context) { emit(event{Event: "onend", Gen: core.Generation()}) }))
	}
	if c.workdir != "" {
		opts = append(opts, core.WithWorkingDirectory(c.workdir))
	}
	if os.Getenv("APP_TRUSTED") != "" {
		opts = append(opts, core.WithTrustedBinary())
	}
	if uids := strings.Fields(os.Getenv("APP_OPERATORS")); uids != nil && mode() != "nooperators" {
		var operators []int
		for _, uid := range uids {
			n, err := strconv.Atoi(uid)
			check(err)
			operators = append(operators, n)
		}
		opts = append(opts, core.WithOperators(operators...))
	}
	if how := os.Getenv("APP_ENVIRONMENT"); how != "" {
		opts = append(opts, core.WithEnvironment(func(old []string) []string { return changedEnvironment(how, old) }))
	}
	if _, err := os.Stat("work"); err == nil || os.Getenv("APP_WORK") != "" {
		opts = append(opts, core.WhileCurrent(appWork))
	}
	if c.control != "auto" {
		opts = append(opts, core.WithControlSocket(c.control))
	}
	return opts
}

func appReadyCheck(ctx context.Context) error {
	m := mode()
	switch m {
	case "check", "again":
		return errors.New("no database")
	case "wait", "chatter", "waitfail":
		emit(event{Event: "checking"})
		stayIn(m)
		if m == "waitfail" {
			return errors.New("no database")
		}
	case "slowcheck":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func appOnSignal(sig syscall.Signal) core.Option {
	return core.OnSignal(sig, func() {
		emit(event{Event: "before", Err: sig.String(), Env: core.Status().State.String()})
		if mode() == "panicking" {
			panic("a bug in a hook")
		}
		stayIn("slow")
	}, func() {
		if mode() == "lingering" {
			time.Sleep(100 * time.Millisecond)
		}
		emit(event{Event: "after", Err: sig.String(), Env: core.Status().State.String()})
	})
}

// run listens, serves and gets ready.
func (c *appConfig) run(u *core.Upgrader, quit <-chan os.Signal) error {
	if c.own {
		go func() {
			<-quit
			_ = u.Stop(context.Background())
		}()
	}
	var addrs []string
	for i := range c.listen {
		addr, err := c.attach(u, i)
		if err != nil {
			return err
		}
		addrs = append(addrs, addr)
	}
	for _, p := range c.packets {
		network, address, _ := strings.Cut(p, ",")
		pc, err := u.ListenPacket(context.Background(), network, address)
		if err != nil {
			return err
		}
		addrs = append(addrs, pc.LocalAddr().String())
		go answerPackets(pc)
	}
	go c.getReady(u, addrs)
	return nil
}

// attach serves on the i-th address. It may say how HTTP/2 comes: "tls", by AttachTLS; "listener", from the program's
// own TLS; "h2c", in the clear; or the last two. Behind the first two tlsConfig knows more.
func (c *appConfig) attach(u *core.Upgrader, i int) (addr string, err error) {
	network, address, _ := strings.Cut(c.listen[i], ",")
	address, way, _ := strings.Cut(address, ",")
	var ln net.Listener
	if network == "fd" {
		ln, err = u.ListenFD(c.descriptor)
	} else {
		ln, err = u.Listen(context.Background(), network, address)
	}
	if err != nil {
		return "", err
	}
	addr = ln.Addr().String()
	if c.wrap {
		ln = core.Hiding{Listener: ln}
	}
	srv := appServer(u, i, c.hooks)
	if mode() == "fewstreams" {
		srv.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 10}
	}
	if b, err := os.ReadFile("idle"); err == nil {
		srv.IdleTimeout, err = time.ParseDuration(string(b))
		check(err)
	}
	if c.h2c || strings.Contains(way, "h2c") {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(way != "")
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	if c.forget || mode() == "forget" {
		srv.ConnContext = func(context.Context, net.Conn) context.Context { return context.Background() }
	}
	if strings.Contains(way, "listener") {
		ln = tls.NewListener(ln, c.tlsConfig(way))
	}
	switch {
	case way == "tls":
		return addr, u.AttachTLS(srv, ln, c.cert, c.key)
	case way == "tls client":
		srv.TLSConfig = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
		return addr, u.AttachTLS(srv, ln, c.cert, c.key)
	case strings.HasPrefix(way, "tls"):
		srv.TLSConfig = c.tlsConfig(way)
		return addr, u.AttachTLS(srv, ln, "", "")
	}
	return addr, u.Attach(srv, ln)
}

func (c *appConfig) getReady(u *core.Upgrader, addrs []string) {
	if u.Ready() != nil {
		return
	}
	m := mode() // before the test knows that this one is ready, and sets it for the next
	emit(event{Event: "ready", Gen: core.Generation(), Addrs: addrs, Release: release(),
		Args: os.Args[1:], Env: os.Getenv("APP_COLOR") + os.Getenv(wire.EnvHandover), Dir: c.dir, Upgrading: upgradingBeforeNew})
	switch m {
	case "crashlater":
		time.Sleep(time.Second)
		panic("a bug that shows late")
	case "floodlater":
		stayIn(m)
		flood(floodLines)
	case "rejects":
		_ = core.Reject(errors.New("at once"))
	}
}

func mode() string {
	b, _ := os.ReadFile("mode")
	return strings.TrimSpace(string(b))
}

// stayIn returns when the mode is another one.
func stayIn(m string) {
	for mode() == m {
		time.Sleep(time.Millisecond)
	}
}

// release is the name of the directory that the running program is in: its own,
// not what its command line says.
func release() string {
	path, _ := os.Executable()
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	return filepath.Base(filepath.Dir(path))
}

// misbehave does before ready what a broken new version does. It knows the inner
// parts, because the worst program is one that has said hello.
func misbehave(mode string) {
	changed := errors.New("net/http has changed")
	switch mode {
	case "crash":
		panic("a bug")
	case "exit0":
		os.Exit(0)
	case "exit7":
		os.Exit(7)
	case "hang":
		select {}
	case "writes", "flood", "halfflood", "chatter", "huge", "grandchild", "sidecar":
		misbehaveOnStderr(mode)
	case "deaf": // hangs, and SIGTERM does not end it
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
		select {}
	case "close-control":
		_ = syscall.Close(core.HandoverSocket())
		select {}
	case "garbage":
		_, _ = syscall.Write(core.HandoverSocket(), []byte("GET / HTTP/1.1\r\n\r\n"))
		select {}
	case "oldgo": // whose net/http reads in another way
		conns.SelfTest = func() error { return changed }
	case "oldhttp2": // whose net/http does not leave as core relies on
		h2.Doors = func() h2.Tried { return h2.Tried{Clear: changed, State: changed} }
	case "fewfiles":
		limit(core.MinReserve + 20)
	}
}

// limit leaves room for n more descriptors, or as many as the system allows if n is negative.
func limit(n int) {
	var lim syscall.Rlimit
	check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim))
	if n < 0 {
		lim.Cur = lim.Max
	}
	for free, _, _ := fd.Free(); n >= 0 && free > n; free-- {
		lim.Cur-- // whose type is not the same on all systems
	}
	check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim))
}

// dieAdopting kills this process when it has taken the second batch of connections over, and has not said so: it is
// about to log that.
func dieAdopting() func([]string, slog.Attr) slog.Attr {
	batches := 0
	return func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.MessageKey && a.Value.String() == "connections taken over" {
			if batches++; batches == 2 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		return a
	}
}
