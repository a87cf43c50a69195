package ginx

import (
	"context"
	"net"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
)

// Run is like r.Run. It serves HTTP on the TCP address addr. An empty addr means ":$PORT", or
// ":8080" if PORT is not set, as for r.Run() without an argument.
//
// Like every function here that takes options it blocks. It returns nil after a clean stop and,
// when the drain has ended, after a handover to the next generation. It returns core.ErrCut if a
// stop has cut what was left. It does not return after a handover in a first process that goes
// on as the supervisor of the service (core.OnEnd). Any other error means that the process did
// not get to serve, or that its listener broke. Several calls, each in a goroutine, share the
// process if they have the same options (core.Run).
func Run(r *gin.Engine, addr string, opts ...core.Option) error {
	if addr == "" {
		addr = defaultAddress()
	}
	debugf("Listening and serving HTTP on %s\n", addr)
	return run(r, listen("tcp", addr), (*core.Upgrader).Attach, opts)
}

// RunTLS is like r.RunTLS. It serves HTTPS, HTTP/2 included, on the TCP address addr, or on ":https" if addr
// is empty. Each generation reads the files again, so an upgrade loads a renewed certificate.
func RunTLS(r *gin.Engine, addr, certFile, keyFile string, opts ...core.Option) error {
	debugf("Listening and serving HTTPS on %s\n", addr)
	if addr == "" {
		addr = ":https"
	}
	attach := func(u *core.Upgrader, srv *http.Server, ln net.Listener) error {
		return u.AttachTLS(srv, ln, certFile, keyFile)
	}
	return run(r, listen("tcp", addr), attach, opts)
}

// RunUnix is like r.RunUnix. It serves HTTP on the unix socket file. The path stays through
// upgrades and is removed after a stop. A socket that a crashed process left behind is replaced.
// It is an error if another process listens on the socket.
func RunUnix(r *gin.Engine, file string, opts ...core.Option) error {
	debugf("Listening and serving HTTP on unix:/%s", file)
	return run(r, listen("unix", file), (*core.Upgrader).Attach, opts)
}

// RunFd is like r.RunFd. It serves HTTP on a listening socket that was passed to the first
// generation as descriptor fd, and closes the descriptor. Later generations call RunFd with the
// same number and get the same socket, whichever descriptor they inherited it as.
func RunFd(r *gin.Engine, fd int, opts ...core.Option) error {
	debugf("Listening and serving HTTP on fd@%d", fd)
	open := func(u *core.Upgrader) (net.Listener, error) { return u.ListenFD(fd) }
	return run(r, open, (*core.Upgrader).Attach, opts)
}

// RunListener is like r.RunListener. It serves HTTP on a listener and closes it. Make the
// listener with core.Listen. It can be wrapped:
//
//	ln, err := core.Listen(context.Background(), "tcp", ":8080")
//	if err != nil {
//		log.Fatal(err)
//	}
//	err = ginx.RunListener(r, netutil.LimitListener(ln, 1000))
//
// A listener from net.Listen serves too, but can't be upgraded. The next generation's net.Listen
// does not know the socket that was passed on, and fails because the address is in use. This
// generation then serves on. Use RunFd for a listener that a service manager made.
func RunListener(r *gin.Engine, ln net.Listener, opts ...core.Option) error {
	debugf("Listening and serving HTTP on listener what's bind with address@%s", ln.Addr())
	warnTrustedProxies(r)
	err := core.ServeListener(newServer(r), ln, opts...)
	debugError(err)
	return err
}

func listen(network, addr string) func(*core.Upgrader) (net.Listener, error) {
	return func(u *core.Upgrader) (net.Listener, error) {
		return u.Listen(context.Background(), network, addr)
	}
}

func run(r *gin.Engine, open func(*core.Upgrader) (net.Listener, error),
	attach func(*core.Upgrader, *http.Server, net.Listener) error, opts []core.Option,
) error {
	warnTrustedProxies(r)
	err := core.Run(func(u *core.Upgrader) error {
		ln, err := open(u)
		if err != nil {
			return err
		}
		return attach(u, newServer(r), ln)
	}, opts...)
	debugError(err)
	return err
}

// newServer is the server that Gin's run methods make, but for UseH2C: r.Handler() would hijack every HTTP/2
// connection away from net/http, and nobody could drain it. net/http speaks HTTP/2 without TLS itself.
func newServer(r *gin.Engine) *http.Server {
	srv := &http.Server{Handler: r}
	if r.UseH2C {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	return srv
}

// defaultAddress is what r.Run() listens on.
func defaultAddress() string {
	if port := os.Getenv("PORT"); port != "" {
		debugf("Environment variable PORT=\"%s\"", port)
		return ":" + port
	}
	debugf("Environment variable PORT is undefined. Using port :8080 by default")
	return ":8080"
}
