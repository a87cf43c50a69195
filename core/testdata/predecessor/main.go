//go:build unix

// Command predecessor is what people run today, before they move to gracex: the environment variable PREDECESSOR says
// which of the programs and libraries it speaks like, its environment, its descriptors and its signals. It serves, and
// starts the file at its own path when its operator signals it; the tests have put a program on gracex there by then.
// Parents are replaced by what they start. Masters keep the sockets and start workers, which are this program, too, at
// first.
//
// It passes the sockets on as those programs do, by exec.Cmd.ExtraFiles, which makes the shared listeners blocking for
// a moment (golang/go#29277). When it is told to go it closes its listeners, closes its idle keep-alive connections, as
// http.Server.SetKeepAlivesEnabled does, answers what it has accepted, and ends. It knows nothing of gracex.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
)

var (
	listen, packet []string // as "network,address": where they are, once they are open
	words          []string // the datagram sockets' as they were given
)

// protocols play what their name says until they end. Workers are started by the masters.
var protocols = map[string]struct{ run, work func() }{
	"upgrade":   {run: runUpgrade},
	"endless":   {run: runEndless},
	"grace":     {run: runGrace},
	"gracehttp": {run: runGracehttp},
	"tableflip": {run: runTableflip},
	"graceful":  {run: runGraceful, work: workGraceful},
	"overseer":  {run: runOverseer, work: workOverseer},
	"starter":   {run: runStarter, work: workStarter},
	"einhorn":   {run: runEinhorn, work: workEinhorn},
}

func main() {
	flag.Func("listen", "`network,address`, may be repeated", func(s string) error {
		listen = append(listen, s)
		return nil
	})
	flag.Func("packet", "`network,address` of a datagram socket, may be repeated; for tableflip", func(s string) error {
		packet, words = append(packet, s), append(words, s)
		return nil
	})
	flag.Parse()
	p := protocols[os.Getenv("PREDECESSOR")]
	play := p.run
	if os.Getenv("PREDECESSOR_WORKER") != "" {
		play = p.work
	}
	if play == nil {
		check(fmt.Errorf("PREDECESSOR=%q names no protocol", os.Getenv("PREDECESSOR")))
	}
	play()
}

// addresses are the given ones without their networks.
func addresses(all []string) (out []string) {
	for _, x := range all {
		_, address, _ := strings.Cut(x, ",")
		out = append(out, address)
	}
	return out
}

// say tells the tests, which read lines of JSON.
func say(event string) {
	addrs := addresses(slices.Concat(listen, packet))
	b, _ := json.Marshal(map[string]any{"event": event, "pid": os.Getpid(), "addrs": addrs})
	os.Stdout.Write(append(b, '\n'))
}

// caught are the signals that come from now on.
func caught(sigs ...os.Signal) chan os.Signal {
	c := make(chan os.Signal, 8)
	signal.Notify(c, sigs...)
	return c
}

// open opens sockets at the addresses, and notes where they are.
func open[T any](at []string, open func(network, address string) (T, error), addr func(T) net.Addr) (all []T) {
	for i, x := range at {
		network, address, _ := strings.Cut(x, ",")
		all = append(all, must(open(network, address)))
		at[i] = network + "," + addr(all[i]).String()
	}
	return all
}

func openListeners() []net.Listener { return open(listen, net.Listen, net.Listener.Addr) }

// files are those of listeners or datagram sockets, for a process that is to be started.
func files[T any](all []T) (out []*os.File) {
	for _, x := range all {
		out = append(out, must(any(x).(interface{ File() (*os.File, error) }).File()))
	}
	return out
}

// closeAll closes this process's copies of what a process was started with.
func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// command is the file at this program's path, with its arguments and these variables on top of
// its environment.
func command(extra []*os.File, args, vars []string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = extra
	cmd.Env = append(os.Environ(), vars...)
	return cmd
}

// report says on stderr what went wrong and is no reason to end.
func report(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "predecessor:", err)
	}
}

// check ends the process if something went wrong.
func check(err error) {
	report(err)
	if err != nil {
		os.Exit(1)
	}
}

func must[T any](x T, err error) T {
	check(err)
	return x
}
