package core

import (
	"errors"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
)

// SetKeepAlivesEnabled is net/http's one setting of a server that is no field, and that can change while the
// server serves. net/http has no way to read it. So core reads the field in which it is kept, where that is what
// canReadKeepAlives finds.

// keepAlivesOff returns what SetKeepAlivesEnabled(false) sets in srv, or nil if net/http keeps it elsewhere.
func keepAlivesOff(srv *http.Server) *atomic.Bool {
	f := reflect.ValueOf(srv).Elem().FieldByName("disableKeepAlives")
	if !f.IsValid() || f.Type() != reflect.TypeFor[atomic.Bool]() {
		return nil
	}
	return (*atomic.Bool)(f.Addr().UnsafePointer()) // of this very type
}

// canReadKeepAlives checks, once in a process, that the field is what SetKeepAlivesEnabled sets.
var canReadKeepAlives = sync.OnceValue(func() error {
	var srv http.Server
	off := keepAlivesOff(&srv)
	if off == nil {
		return errors.New("net/http: http.Server has no atomic field disableKeepAlives")
	}
	for _, on := range []bool{false, true} {
		if srv.SetKeepAlivesEnabled(on); off.Load() == on {
			return errors.New("net/http: SetKeepAlivesEnabled does not set disableKeepAlives")
		}
	}
	return nil
})

// keepAlives has the servers that serve for the program's follow its SetKeepAlivesEnabled. The zero value
// follows nothing.
type keepAlives struct {
	off     *atomic.Bool // the program's
	servers []*http.Server

	mu      sync.Mutex
	applied atomic.Bool // the servers are told that they are off
}

// follow says which server's setting the servers get, by apply.
func (k *keepAlives) follow(user *http.Server, servers ...*http.Server) error {
	if err := canReadKeepAlives(); err != nil {
		return err
	}
	k.off, k.servers = keepAlivesOff(user), servers
	return nil
}

// apply passes a change on. It is called before and after each handler: net/http looks at the setting when it
// writes the head of an answer.
func (k *keepAlives) apply() {
	if k.off == nil || k.off.Load() == k.applied.Load() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	off := k.off.Load()
	for _, srv := range k.servers {
		srv.SetKeepAlivesEnabled(!off) // false closes those that are idle, as it does without core
	}
	k.applied.Store(off)
}
