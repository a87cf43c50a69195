//go:build unix

package main

import (
	"encoding/gob"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// parent serves until it is replaced.
type parent struct {
	*server
	signals chan os.Signal
}

// begin opens the sockets and serves.
func begin(sigs ...os.Signal) (*parent, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, append(sigs, syscall.SIGTERM)...)
	listeners, err := open()
	if err != nil {
		return nil, err
	}
	packets, err := openPackets()
	if err != nil {
		return nil, err
	}
	say("predecessor")
	p := &parent{server: serve(listeners), signals: signals}
	p.answer(packets)
	return p, nil
}

// fork starts the next process with the listeners from descriptor 3 on, or what is before.
func (p *parent) fork(before []*os.File, args, vars []string) (*exec.Cmd, error) {
	own, err := files(p.listeners)
	if err != nil {
		return nil, err
	}
	cmd := command(append(before, own...), args, vars)
	err = cmd.Start()
	for _, f := range own {
		f.Close()
	}
	return cmd, err
}

// runUpgrade is the home-made program: it goes as soon as the next process is started.
func runUpgrade() error {
	p, err := begin(syscall.SIGHUP)
	if err != nil {
		return err
	}
	for sig := range p.signals {
		if sig == syscall.SIGTERM {
			break
		}
		if _, err := p.fork(nil, append([]string{"-upgrade"}, os.Args[1:]...), nil); err == nil {
			break
		}
		report(err)
	}
	p.leave()
	return nil
}

// replacedBySIGTERM is the way of endless and grace: the next process tells it to go.
func replacedBySIGTERM(sig os.Signal, vars func(p *parent) []string) error {
	p, err := begin(sig)
	if err != nil {
		return err
	}
	for got := range p.signals {
		if got == syscall.SIGTERM {
			break
		}
		cmd, err := p.fork(nil, os.Args[1:], vars(p))
		report(err)
		if err == nil {
			go cmd.Wait()
		}
	}
	p.leave()
	return nil
}

func runEndless() error {
	return replacedBySIGTERM(syscall.SIGHUP, func(*parent) []string {
		vars := []string{"ENDLESS_CONTINUE=1"}
		if len(listen) > 1 {
			var order []string
			for _, l := range listen {
				_, address, _ := strings.Cut(l, ",")
				order = append(order, address)
			}
			vars = append(vars, "ENDLESS_SOCKET_ORDER="+strings.Join(order, ","))
		}
		return vars
	})
}

func runGrace() error {
	return replacedBySIGTERM(syscall.SIGUSR2, func(p *parent) []string {
		return []string{fmt.Sprintf("LISTEN_FDS=%d", len(p.listeners))}
	})
}

// runGracehttp starts the next process by fork and exec alone, and goes. The real one lets its clients keep their
// connections (PREDECESSOR_STAYS), and is there until they have gone.
func runGracehttp() error {
	p, err := begin(syscall.SIGUSR2)
	if err != nil {
		return err
	}
	for sig := range p.signals {
		if sig == syscall.SIGTERM {
			break
		}
		f, err := p.listeners[0].(*net.TCPListener).File()
		if err == nil {
			_, err = syscall.ForkExec(os.Args[0], os.Args, &syscall.ProcAttr{
				Env:   append(os.Environ(), "GRACEFUL=true"),
				Files: []uintptr{0, 1, 2, f.Fd()},
			})
			f.Close()
		}
		if err == nil {
			break
		}
		report(err)
	}
	p.leave()
	return nil
}

// runTableflip has the next process say on a pipe that it is ready, and names the sockets on another one, whose
// end tells that this process has ended.
func runTableflip() error {
	p, err := begin(syscall.SIGHUP)
	if err != nil {
		return err
	}
	ready := make(chan bool)
	for {
		select {
		case sig := <-p.signals:
			if sig == syscall.SIGTERM {
				p.leave()
				return nil
			}
			report(p.flip(ready))
		case ok := <-ready:
			if ok {
				p.leave()
				return nil
			}
		}
	}
}

func (p *parent) flip(ready chan<- bool) error {
	readyR, readyW, err := os.Pipe()
	if err != nil {
		return err
	}
	namesR, namesW, err := os.Pipe()
	if err != nil {
		return err
	}
	passed, err := files(p.packets)
	if err != nil {
		return err
	}
	cmd, err := p.fork(append([]*os.File{readyW, namesR}, passed...), os.Args[1:], []string{"TABLEFLIP_HAS_PARENT_7DIU3=yes"})
	for _, f := range append(passed, readyW, namesR) {
		f.Close()
	}
	if err != nil {
		return err
	}
	var names [][]string
	for _, x := range []struct {
		kind string
		all  []string
	}{{"packet", words}, {"listener", listen}} { // as the descriptors are; the real one has no order
		for _, l := range x.all {
			network, address, _ := strings.Cut(l, ",")
			names = append(names, []string{x.kind, network, address})
		}
	}
	go func() {
		report(gob.NewEncoder(namesW).Encode(names))
		b, _ := io.ReadAll(readyR)
		ready <- len(b) == 1 && b[0] == 42
		cmd.Wait()
		namesW.Close() // not before: it is open as long as this process lives
	}()
	return nil
}
