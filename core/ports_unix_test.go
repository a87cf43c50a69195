//go:build unix

package core_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

func init() { programs["ports"] = playPorts }

// playPorts is a program with several ports. Each generation reads them from the file "ports", a line for each:
//
//	main ADDR         by core.ListenAndServe, which main waits for
//	also ADDR NAME    by core.AlsoServe
//	alsotls ADDR NAME by core.AlsoServeTLS
//	run ADDR          by a call of core.ListenAndServe of its own
//	late ADDR         the same, when there is a file "late"
//	outside ADDR      by net.Listen; an error is written
//	fatal ADDR        the same, and an error ends the program
//	reject            on probation this version finds that it is bad
func playPorts() {
	plan, err := os.ReadFile("ports")
	check(err)
	probation, _ := time.ParseDuration(os.Getenv("APP_PROBATION"))
	if wait, err := time.ParseDuration(os.Getenv("APP_RUN_WAIT")); err == nil {
		core.SetRunWait(wait)
	}
	log := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})
	opts := []core.Option{
		core.WithLogger(slog.New(log)), core.WithControlSocket("ctl.sock"), core.WithProbation(probation),
		core.WithDrainTimeout(core.DefaultDrainTimeout),
	}
	h := http.HandlerFunc(serveRequest)
	var main string
	var runs []string
	for line := range strings.Lines(string(plan)) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		addr, name, _ := strings.Cut(rest, " ")
		switch verb {
		case "main":
			main = addr
		case "also":
			opts = append(opts, core.AlsoServe(addr, h, core.Named(name)))
		case "alsotls":
			opts = append(opts, core.AlsoServeTLS(addr, os.Getenv("APP_CERT"), os.Getenv("APP_KEY"), h, core.Named(name)))
		case "run", "late":
			runs = append(runs, verb, addr)
		case "reject":
			go func() {
				awaitCurrent()
				_ = core.Reject(errors.New("bad"))
			}()
		case "outside", "fatal":
			ln, err := net.Listen("tcp", addr)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				if verb == "fatal" {
					os.Exit(1)
				}
				continue
			}
			go func() { _ = http.Serve(ln, h) }()
		}
	}
	go announcePorts()
	var all sync.WaitGroup
	for i := 0; i < len(runs); i += 2 {
		all.Go(func() {
			if runs[i] == "late" {
				for _, err := os.Stat("late"); err != nil; _, err = os.Stat("late") {
					time.Sleep(time.Millisecond)
				}
			}
			servePort(runs[i+1], opts)
		})
	}
	servePort(main, opts)
	all.Wait()
}

// servePort serves, and says how that has ended.
func servePort(addr string, opts []core.Option) {
	end := event{Event: "end", Gen: core.Generation(), Addrs: []string{addr}}
	if err := core.ListenAndServe(addr, http.HandlerFunc(serveRequest), opts...); err != nil {
		end.Err = err.Error()
	}
	end.Gen = core.Generation()
	emit(end)
}

// awaitCurrent returns when this process serves.
func awaitCurrent() {
	for core.Status().State != core.StateCurrent {
		time.Sleep(time.Millisecond)
	}
}

// announcePorts says ready, with the addresses that gracex holds.
func announcePorts() {
	awaitCurrent()
	ev := event{Event: "ready", Gen: core.Generation()}
	for _, l := range core.Status().Listeners {
		if !l.Outside {
			ev.Addrs = append(ev.Addrs, l.Address)
		}
	}
	emit(ev)
}

// withPorts starts the program with the ports that the lines say.
func withPorts(t *testing.T, lines ...string) (*app, *control.Client, event) {
	t.Helper()
	a := installed(t)
	a.ports(lines...)
	a.start("ports", "./app")
	return a, control.Dial(a.path("ctl.sock")), a.expect("ready", 0)
}

// ports says which ports the next generation has.
func (a *app) ports(lines ...string) { a.write("ports", strings.Join(lines, "\n")) }
