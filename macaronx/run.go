package macaronx

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/macaron.v1"

	"github.com/gracex-go/gracex/core"
)

// Run is like m.Run and takes its arguments. These are host (a string), port (an int), both in
// this order, or none. A value that is left out comes from the environment's HOST and PORT, and
// is 0.0.0.0 and 4000 without them.
//
// A single string can also be an address, such as ":8080", which m.Run does not understand. A core.Option, or
// a slice of them, can stand anywhere. Any other argument is an error, where m.Run would ignore it.
//
// Like every function and method here that takes options it blocks. It returns nil after a clean
// stop and, when the drain has ended, after a handover to the next generation. It returns
// core.ErrCut if a stop has cut what was left. It does not return after a handover in a first
// process that goes on as the supervisor of the service (core.OnEnd). Any other error means that
// the process did not get to serve, or that its listener broke, where Macaron ends the process.
// Several calls, each in a goroutine, share the process if they have the same options
// (core.Run).
func Run(m *macaron.Macaron, args ...any) error {
	addr, opts, err := parse(args)
	if err != nil {
		return err
	}
	return RunAddr(m, addr, opts...)
}

// RunAddr is like http.ListenAndServe(addr, m). It serves HTTP on the TCP address addr, or on
// ":http" if addr is empty.
func RunAddr(m *macaron.Macaron, addr string, opts ...core.Option) error {
	announce(m, addr)
	return core.ListenAndServe(addr, m, opts...)
}

// RunTLS is like http.ListenAndServeTLS(addr, certFile, keyFile, m). It serves HTTPS, HTTP/2
// included, on the TCP address addr, or on ":https" if addr is empty. Each generation reads the
// files again, so an upgrade loads a renewed certificate.
func RunTLS(m *macaron.Macaron, addr, certFile, keyFile string, opts ...core.Option) error {
	announce(m, addr)
	return core.ListenAndServeTLS(addr, certFile, keyFile, m, opts...)
}

// RunUnix serves HTTP on the unix socket file. The path stays through upgrades and is removed
// after a stop. A socket that a crashed process left behind is replaced. It is an error if
// another process listens on the socket.
func RunUnix(m *macaron.Macaron, file string, opts ...core.Option) error {
	announce(m, file)
	return core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "unix", file)
		if err != nil {
			return err
		}
		return u.Attach(&http.Server{Handler: m}, ln)
	}, opts...)
}

// RunListener serves HTTP on a listener and closes it. Make the listener with core.Listen. It can
// be wrapped. A listener from net.Listen serves too, but can't be upgraded.
func RunListener(m *macaron.Macaron, ln net.Listener, opts ...core.Option) error {
	announce(m, ln.Addr().String())
	return core.ServeListener(&http.Server{Handler: m}, ln, opts...)
}

// announce logs what m.Run logs, to the same logger.
//
//nolint:forbidigo // which is a *log.Logger
func announce(m *macaron.Macaron, addr string) {
	logger := m.GetVal(reflect.TypeFor[*log.Logger]())
	if l, ok := logger.Interface().(*log.Logger); ok {
		l.Printf("listening on %s (%s)\n", addr, macaron.Env)
	}
}

// parse takes Run's arguments apart.
func parse(args []any) (addr string, opts []core.Option, err error) {
	host, port := macaron.GetDefaultListenInfo()
	hosts, ports := 0, 0
	for _, arg := range args {
		switch arg := arg.(type) {
		case core.Option:
			opts = append(opts, arg)
			continue
		case []core.Option:
			opts = append(opts, arg...)
			continue
		case string:
			if hosts++; hosts == 1 && ports == 0 {
				host = arg
				continue
			}
		case int:
			if ports++; ports == 1 {
				port = arg
				continue
			}
		}
		return "", nil, fmt.Errorf("macaronx: Run takes a host (string), then a port (int), and core.Options, and can't use %T %[1]v", arg)
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		if ports > 0 {
			return "", nil, fmt.Errorf("macaronx: Run got the address %q and the port %d: leave one port out", host, port)
		}
		return host, opts, nil
	}
	return address(host, port), opts, nil
}

// address takes an IPv6 host with brackets too: Macaron puts the port right behind it.
func address(host string, port int) string {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
