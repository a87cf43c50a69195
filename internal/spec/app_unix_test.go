//go:build unix

package spec_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gracex-go/gracex/core"
)

// What the apps have in common: every framework's has this surface, in its own ways.
//
//	GET, POST /         the body
//	POST /held          the body, once the generation drains
//	GET /users/:id      the id
//	POST /users         a user, bound and validated
//	GET /admin/         behind basic authentication
//	GET /panic          a handler that panics
//	POST /upload        what was uploaded as "file"
//	GET /stream?pace=   what comes from the address pace, as it comes
//	GET /static/        the site's files
//	POST /shutdown?how= stops the program by its own means
//
// Middleware says which process answers and in which protocol it was asked, and switches keep-alive off if it is asked to.

// identify is what that middleware does.
func identify(h http.Header, r *http.Request) {
	if r.Header.Get("X-Keep-Alives") == "off" {
		r.Context().Value(http.ServerContextKey).(*http.Server).SetKeepAlivesEnabled(false)
	}
	h.Set("X-Pid", strconv.Itoa(os.Getpid()))
	h.Set("X-Generation", strconv.Itoa(core.Generation()))
	h.Set("X-Proto", r.Proto)
}

// skips is the Skipper of every app's Readiness.
func skips(r *http.Request) bool { return r.Header.Get("X-Skip") != "" }

// admin and password let a client see /admin/.
const admin, password = "admin", "secret"

// user is what POST /users takes and returns.
type user struct {
	Name string `json:"name" binding:"required"`
	Age  int    `json:"age" binding:"gte=0,lte=150"`
}

// valid is for a framework that has no validation of its own.
func (u *user) valid() error {
	if u.Name == "" || u.Age < 0 || u.Age > 150 {
		return errors.New("no such user")
	}
	return nil
}

// decodeUser is the binding of a framework that has none.
func decodeUser(body io.Reader) (u user, err error) {
	if err = json.NewDecoder(body).Decode(&u); err == nil {
		err = u.valid()
	}
	return u, err
}

// found is what GET /users/:id returns.
type found struct {
	ID string `json:"id"`
}

// receive returns what POST /upload answers.
func receive(header *multipart.FileHeader) ([]byte, error) {
	f, err := header.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	return append([]byte(header.Filename+": "), content...), err
}

// stream sends what comes from the client's other connection, as it comes, until that ends.
func stream(r *http.Request, w http.ResponseWriter) error {
	conn, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.URL.Query().Get("pace"))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.Copy(flushed{w}, conn)
	return err
}

// flushed sends each piece at once.
type flushed struct{ http.ResponseWriter }

func (w flushed) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	_ = http.NewResponseController(w.ResponseWriter).Flush() // if it can't, nothing comes before the end
	return n, err
}

// hold is a request that is in flight when the upgrade comes.
func (p *process) hold(ctx context.Context) {
	p.say("held")
	<-core.Draining(ctx)
}

// shutDown stops the program as a handler of its own would, and says when that has returned.
func (p *process) shutDown(how string) (status int) {
	stop := p.stops[how]
	if stop == nil {
		return http.StatusNotFound
	}
	p.stopping.Go(func() {
		if err := stop(); err != nil {
			p.say("shut down", "error", err)
			return
		}
		p.say("shut down")
	})
	return http.StatusAccepted
}

func (p *process) static() string { return filepath.Join(p.site, "static") }
func (p *process) cert() string   { return filepath.Join(p.site, "server.crt") }
func (p *process) key() string    { return filepath.Join(p.site, "server.key") }
