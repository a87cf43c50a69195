package ginx

import (
	"context"
	"net"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
)

// Run is r.Run: it serves HTTP on the TCP address addr. An empty addr means what
// r.Run() without one means: ":$PORT", or ":8080" if PORT is not set.
//
// Like every function here that takes options it blocks, and returns nil after a
// clean stop and, once the drain has ended, after a handover to the next
// generation; core.ErrCut if a drain was cut short; any other error if the
// process did not get to serve, or if its listener broke. There is one such call
// in a process at a time (core.ErrRunning).
func Run(r *gin.Engine, addr string, opts ...core.Option) error {
	if addr == "" {
		addr = defaultAddress()
	}
	debugf("Listening and serving HTTP on %s\n", addr)
	return run(r, listen("tcp", addr), (*core.Upgrader).Attach, opts)
}

// RunTLS is r.RunTLS: it serves HTTPS, HTTP/2 included, on the TCP address addr,
// ":https" if it is empty. Each generation reads the files anew, so an upgrade
// takes a renewed certificate in.
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

// RunUnix is r.RunUnix: it serves HTTP on the unix socket file. The path stays
// while generations change and is removed after a stop. A socket that a crashed
// process left behind is replaced; one that somebody listens on is an error.
func RunUnix(r *gin.Engine, file string, opts ...core.Option) error {
	debugf("Listening and serving HTTP on unix:/%s", file)
	return run(r, listen("unix", file), (*core.Upgrader).Attach, opts)
}

// RunFd is r.RunFd: it serves HTTP on the listening socket that whoever started
// the first generation passed as descriptor fd, and closes the descriptor. Later
// generations call RunFd with the same number and get the same socket, whatever
// descriptor it came to them as.
func RunFd(r *gin.Engine, fd int, opts ...core.Option) error {
	debugf("Listening and serving HTTP on fd@%d", fd)
	open := func(u *core.Upgrader) (net.Listener, error) { return u.ListenFD(fd) }
	return run(r, open, (*core.Upgrader).Attach, opts)
}

// RunListener is r.RunListener: it serves HTTP on a listener that was made before,
// and closes it. Make it with core.Listen, wrapped or as it is:
//
//	ln, err := core.Listen(context.Background(), "tcp", ":8080")
//	if err != nil {
//		log.Fatal(err)
//	}
//	err = ginx.RunListener(r, netutil.LimitListener(ln, 1000))
//
// One from net.Listen serves too, but can't be upgraded: the next generation's
// net.Listen knows nothing of the socket that was passed on and fails because the
// address is in use, and this generation serves on. For a listener that a service
// manager made there is RunFd.
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

// newServer is the server that Gin's run methods make, but for UseH2C:
// r.Handler() would hijack every HTTP/2 connection away from net/http, and
// nobody could drain it. net/http speaks HTTP/2 without TLS itself.
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
