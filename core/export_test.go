package core

import (
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/proctest"
)

// What the tests of the exported API reach for beyond it: they make an Upgrader of this process,
// make the process misbehave, or bring about what otherwise takes a second process.

// AskToLeave begins or ends the stretch of a drain in which clients are asked to leave.
func (u *Upgrader) AskToLeave(on bool) {
	u.phase.asksToLeave.Store(on)
	if on {
		(&drainer{u: u}).tellHTTP2()
	}
}

// Break ends the process with an error, as a failing listener does.
func (u *Upgrader) Break(err error) { u.requestStop(stopRequest{err: err, now: true}) }

// PassedOn is the number of descriptors that the next generation would get.
func (u *Upgrader) PassedOn() int { return len(u.passing.all()) }

// inProcess is held by the test whose Upgrader this process has: there is one at a time.
var inProcess sync.Mutex

// patience bounds every wait of a test. Nothing is ever expected to take that long.
const patience = proctest.Patience

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expectEqual[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Alone keeps the process free of other tests' Upgraders until the test ends.
func Alone(t testing.TB) {
	inProcess.Lock()
	t.Cleanup(inProcess.Unlock)
	running.Store(nil) // a child of another test that has failed does not count here
}

// NewTest makes an Upgrader that ends with the test, and hears no signals.
func NewTest(t testing.TB, opts ...Option) *Upgrader {
	t.Helper()
	Alone(t)
	return newAlone(t, realSystem, opts)
}

// newAlone is NewTest after Alone.
func newAlone(t testing.TB, sys system, opts []Option) *Upgrader {
	t.Helper()
	boot.mode = ModeSelf.String() // "go test" watches this process
	u, err := newUpgrader(&boot, sys, append([]Option{WithSignals(Signals{})}, opts...))
	must(t, err)
	t.Cleanup(func() {
		u.requestStop(stopRequest{})
		u.cutShort("test")
		<-u.Done()
	})
	return u
}

// ServeTest serves srv on a free port and says Ready. It returns the address.
func (u *Upgrader) ServeTest(t testing.TB, srv *http.Server) string {
	t.Helper()
	addr := u.AttachTest(t, srv)
	must(t, u.Ready())
	return addr
}

// AttachTest attaches srv to a free port. It returns the address.
func (u *Upgrader) AttachTest(t testing.TB, srv *http.Server) string {
	t.Helper()
	ln := u.ListenTest(t)
	must(t, u.Attach(srv, ln))
	return ln.Addr().String()
}

// ListenTest listens at a free port.
func (u *Upgrader) ListenTest(t testing.TB) net.Listener {
	t.Helper()
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	return ln
}

// ExpectOpen waits until that is open: net/http says idle after the client has its answer.
func ExpectOpen(t *testing.T, u *Upgrader, want Remaining) {
	t.Helper()
	for deadline := time.Now().Add(patience); u.Status().Ledger.Open != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("open: %v, want %v", u.Status().Ledger.Open, want)
		}
	}
}

// Hiding is a listener whose connections show nothing of what they wrap.
type Hiding struct{ net.Listener }

func (h Hiding) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}

// SetRunWait changes how long further calls of Run are waited for.
func SetRunWait(d time.Duration) { runWait = d }

// NamelessOptions are the fields of config for which Run could not name the option, and names of fields that are none.
func NamelessOptions() (fields []string) {
	t := reflect.TypeFor[config]()
	for i := range t.NumField() {
		if name := t.Field(i).Name; optionNames[name] == "" {
			fields = append(fields, name)
		}
	}
	for name := range optionNames {
		if _, ok := t.FieldByName(name); !ok {
			fields = append(fields, name)
		}
	}
	return fields
}

// LookForFirst is what a first process does before it serves with a pid file.
func LookForFirst(path string, ask time.Duration, log *slog.Logger) error {
	return lookForFirst(path, patience, ask, log)
}

// OffMainThread is how a thread is found that may block.
func OffMainThread(f func()) { offMainThread(f) }
