// Command udp is a UDP server that upgrades itself: replace its binary, send it SIGUSR2 or SIGHUP, and the
// new process reads from the same socket. No datagram is lost in between, and none is answered twice.
//
//	go build -o server ./examples/udp
//	./server -addr 127.0.0.1:9053 -pidfile server.pid &
//	echo hello | nc -u -w1 127.0.0.1 9053
//	kill -USR2 "$(cat server.pid)"
//
// It answers each datagram by the generation and the number of the process that has read it, and by what it says.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

// maxDatagram is the most that UDP over IPv4 carries.
const maxDatagram = 65507

func main() {
	flags := app.Parse(":9053")

	err := core.Run(func(u *core.Upgrader) error {
		pc, err := u.ListenPacket(context.Background(), "udp", flags.Addr)
		if err != nil {
			return err
		}
		go answer(pc)
		return nil
	}, flags.Options()...)
	// nil comes back after a clean stop and after a handover, and ErrCut after a stop that cut what was left.
	if err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "udp:", err)
		os.Exit(1)
	}
}

// answer reads until this process drains: the error is net.ErrClosed then. The drain waits for Close.
func answer(pc *core.PacketConn) {
	defer pc.Close()
	b := make([]byte, maxDatagram)
	for {
		n, from, err := pc.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		reply := fmt.Appendf(nil, "%d %d %s", core.Generation(), os.Getpid(), b[:n])
		if _, err := pc.WriteToUDPAddrPort(reply, from); err != nil {
			slog.Warn("a client has no answer", "client", from, "error", err)
		}
	}
}
