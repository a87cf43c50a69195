//go:build unix

package main

import (
	"encoding/gob"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
)

// parent serves until it is replaced.
type parent struct {
	*server
	signals chan os.Signal
}

// play opens the sockets and serves until SIGTERM. At the other signal, replace starts the next process. If that is
// enough to go, SIGTERM needs not come.
func play(sig os.Signal, goes bool, replace func(p *parent) error) {
	p := &parent{signals: caught(sig, syscall.SIGTERM)}
	listeners, packets := openListeners(), open(packet, net.ListenPacket, net.PacketConn.LocalAddr)
	say("predecessor")
	p.server = serve(listeners, packets)
	for got := range p.signals {
		if got == syscall.SIGTERM {
			break
		}
		err := replace(p)
		report(err)
		if goes && err == nil {
			break
		}
	}
	p.leave()
}

// fork starts the next process with the listeners from descriptor 3 on, or behind what is before. It calls ended
// when that process has.
func (p *parent) fork(before []*os.File, args, vars []string, ended func()) error {
	own := files(p.listeners)
	defer closeAll(own)
	cmd := command(append(before, own...), args, vars)
	err := cmd.Start()
	if err == nil {
		go func() {
			cmd.Wait()
			ended()
		}()
	}
	return err
}

// start is fork with the arguments of this process.
func (p *parent) start(vars ...string) error { return p.fork(nil, os.Args[1:], vars, func() {}) }

// runUpgrade is the home-made program: it goes as soon as the next process is started.
func runUpgrade() {
	play(syscall.SIGHUP, true, func(p *parent) error {
		return p.fork(nil, append([]string{"-upgrade"}, os.Args[1:]...), nil, func() {})
	})
}

func runEndless() {
	play(syscall.SIGHUP, false, func(p *parent) error {
		if len(listen) == 1 {
			return p.start("ENDLESS_CONTINUE=1")
		}
		return p.start("ENDLESS_CONTINUE=1", "ENDLESS_SOCKET_ORDER="+strings.Join(addresses(listen), ","))
	})
}

// runGrace passes LISTEN_PID on as it is. With PREDECESSOR_ACTIVATED it is this process's own, as from systemd.
func runGrace() {
	if os.Getenv("PREDECESSOR_ACTIVATED") != "" {
		os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
	}
	play(syscall.SIGUSR2, false, func(p *parent) error {
		return p.start(fmt.Sprintf("LISTEN_FDS=%d", len(p.listeners)))
	})
}

// runGracehttp goes when the next process is started, without a look at it. The real one lets its clients keep their
// connections (PREDECESSOR_STAYS), and is there until they have gone.
func runGracehttp() {
	play(syscall.SIGUSR2, true, func(p *parent) error { return p.start("GRACEFUL=true") })
}

// runTableflip has the next process say on a pipe that it is ready, and names the sockets on another one, whose
// end tells that this process has ended.
func runTableflip() {
	play(syscall.SIGHUP, false, func(p *parent) error {
		readyR, readyW, err := os.Pipe()
		check(err)
		namesR, namesW, err := os.Pipe()
		check(err)
		passed := append([]*os.File{readyW, namesR}, files(p.packets)...)
		defer closeAll(passed)
		// Not closed before: it is open as long as this process lives.
		ended := func() { namesW.Close() }
		if err := p.fork(passed, os.Args[1:], []string{"TABLEFLIP_HAS_PARENT_7DIU3=yes"}, ended); err != nil {
			return err
		}
		var names [][]string // as the descriptors are; the real one has no order
		for i, l := range slices.Concat(words, listen) {
			kind := "packet"
			if i >= len(words) {
				kind = "listener"
			}
			names = append(names, append([]string{kind}, strings.Split(l, ",")...))
		}
		go func() {
			report(gob.NewEncoder(namesW).Encode(names))
			if b, _ := io.ReadAll(readyR); len(b) == 1 && b[0] == 42 {
				p.signals <- syscall.SIGTERM
			}
		}()
		return nil
	})
}
