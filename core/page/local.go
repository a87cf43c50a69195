package page

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// ErrNotLoopback means that an address is not one of the loopback interface.
var ErrNotLoopback = errors.New("page: not an address of the loopback interface, such as 127.0.0.1:0")

// Local returns the page for a listener of [ListenLocal], to which any user of the machine can connect. It answers no
// question about the app, and does nothing, without the token. The address to open is that of the listener, with the
// token behind "/#token=":
//
//	fmt.Printf("http://%s/#token=%s\n", ln.Addr(), token)
//
// The page keeps the token where pages from other ports of this machine can't read it, as they could read a cookie. A name
// that leads to the loopback interface, and is not "localhost", is refused: a page from elsewhere could have given itself
// that name.
func Local(config Config) (h http.Handler, token string) {
	token = rand.Text()
	return &local{Handler(config), sha256.Sum256([]byte("Bearer " + token))}, token
}

type local struct {
	page http.Handler
	want [sha256.Size]byte // of the header Authorization, hashed: then a comparison takes as long for any length
}

func (l *local) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if !isLoopback(r.Host) {
		refuse(w, http.StatusMisdirectedRequest, fmt.Sprintf("%q is not the name of this machine's loopback interface; open http://localhost", r.Host))
		return
	}
	got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	_, public := assets[name]
	if !public && name != "" && subtle.ConstantTimeCompare(got[:], l.want[:]) != 1 {
		refuse(w, http.StatusUnauthorized, "the token is missing or wrong: open the address that was printed, with all that is behind the #")
		return
	}
	l.page.ServeHTTP(w, r)
}

// ListenLocal listens on an address of the loopback interface, "127.0.0.1:0" if it is empty. The error wraps
// ErrNotLoopback for any other one.
func ListenLocal(addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	if host, _, err := net.SplitHostPort(addr); err != nil || host == "" || !isLoopback(addr) {
		return nil, fmt.Errorf("%w: %q", ErrNotLoopback, addr)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	// What localhost means is written in a file.
	if a, ok := ln.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		ln.Close()
		return nil, fmt.Errorf("%w: %q is %v", ErrNotLoopback, addr, ln.Addr())
	}
	return ln, nil
}

// isLoopback reports whether the host of a Host header, or of an address, is the loopback interface in all machines'
// words. The port can be another one than the listener's: ssh forwards one.
func isLoopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	} else {
		host = strings.Trim(host, "[]")
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
