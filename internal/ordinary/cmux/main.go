// Command cmux has two protocols on one port, by github.com/soheilhy/cmux: HTTP, and lines that are answered in upper
// case.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/soheilhy/cmux"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("cmux\n")) })
	srv := &http.Server{Handler: mux}
	if !host.OnGracex() {
		ln, err := net.Listen("tcp", host.Addr())
		if err != nil {
			host.End(err)
		}
		web, both := split(ln)
		go func() { host.End(both.Serve()) }()
		host.End(srv.Serve(web))
	}
	host.End(core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", host.Addr())
		if err != nil {
			return err
		}
		web, both := split(ln)
		go func() { _ = both.Serve() }() // it ends with the listener
		return u.Attach(srv, web)
	}, host.Options()...))
}

// split answers the lines, and returns the listener for HTTP.
func split(ln net.Listener) (web net.Listener, both cmux.CMux) {
	both = cmux.New(ln)
	web = both.Match(cmux.HTTP1Fast())
	lines := both.Match(cmux.Any())
	go func() {
		for {
			c, err := lines.Accept()
			if err != nil {
				return
			}
			go shout(c)
		}
	}()
	return web, both
}

func shout(c net.Conn) {
	defer c.Close()
	in := bufio.NewScanner(c)
	for in.Scan() && in.Text() != "" {
		fmt.Fprintln(c, strings.ToUpper(in.Text()))
	}
}
