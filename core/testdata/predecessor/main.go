//go:build unix

// Command predecessor is what people run today, before they move to gracex: the environment variable
// PREDECESSOR says which of the programs and libraries it speaks like, its environment, its
// descriptors and its signals. It serves, and starts the file at its own path when its operator
// signals it; the tests have put a program on gracex there by then. Parents are replaced by what they start, masters keep
// the sockets and start workers, which are this program too at first.
//
// It passes the sockets on as those programs do, by exec.Cmd.ExtraFiles, which makes the
// shared listeners blocking for a moment (golang/go#29277). When it is told to go it closes its listeners, closes
// its idle keep-alive connections, as http.Server.SetKeepAlivesEnabled does, answers what it has accepted, and ends.
// It knows nothing of gracex.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
)

// addresses are given as "network,address", any number of times.
type addresses []string

func (a *addresses) String() string     { return strings.Join(*a, " ") }
func (a *addresses) Set(s string) error { *a = append(*a, s); return nil }

var (
	listen, packet addresses // where they are, once they are open
	words          []string  // the datagram sockets' as they were given
)

// protocols play what their name says until they end. Workers are started by the masters.
var protocols = map[string]struct{ run, work func() error }{
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
	flag.Var(&listen, "listen", "`network,address`, may be repeated")
	flag.Var(&packet, "packet", "`network,address` of a datagram socket, may be repeated; for tableflip")
	addr := flag.String("addr", "", "a TCP address, as the examples have it")
	flag.Parse()
	if *addr != "" {
		listen = append(listen, "tcp,"+*addr)
	}
	p := protocols[os.Getenv("PREDECESSOR")]
	play := p.run
	if os.Getenv("PREDECESSOR_WORKER") != "" {
		play = p.work
	}
	err := errors.New("PREDECESSOR names no protocol")
	if play != nil {
		err = play()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "predecessor:", err)
		os.Exit(1)
	}
}

// say tells the tests, which read lines of JSON.
func say(event string) {
	var addrs []string
	for _, l := range append(listen[:len(listen):len(listen)], packet...) {
		_, address, _ := strings.Cut(l, ",")
		addrs = append(addrs, address)
	}
	b, _ := json.Marshal(map[string]any{"event": event, "pid": os.Getpid(), "addrs": addrs})
	os.Stdout.Write(append(b, '\n'))
}

// open opens the listeners, and notes where they are.
func open() ([]net.Listener, error) {
	var all []net.Listener
	for i, l := range listen {
		network, address, _ := strings.Cut(l, ",")
		ln, err := net.Listen(network, address)
		if err != nil {
			return nil, err
		}
		all = append(all, ln)
		listen[i] = network + "," + ln.Addr().String()
	}
	return all, nil
}

// openPackets opens the datagram sockets, and notes where they are.
func openPackets() ([]net.PacketConn, error) {
	var all []net.PacketConn
	words = append(words, packet...)
	for i, p := range packet {
		network, address, _ := strings.Cut(p, ",")
		c, err := net.ListenPacket(network, address)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		packet[i] = network + "," + c.LocalAddr().String()
	}
	return all, nil
}

// files are those of listeners or datagram sockets, for a process that is to be started.
func files[T any](all []T) ([]*os.File, error) {
	var out []*os.File
	for _, x := range all {
		f, err := any(x).(interface{ File() (*os.File, error) }).File()
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
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
