package clients

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// envUpgrades is how often each server is upgraded. If it is set, the programs of other projects have to be there.
const envUpgrades = "CLIENTS_UPGRADES"

const patience = proctest.Patience

func TestMain(m *testing.M) {
	if err := procgroup.AdoptOrphans(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := proctest.Main(m)
	table.print()
	os.Exit(code)
}

// client is a kind of clients.
type client struct {
	name  string
	over  string // overH2C, overTLS or overStays; empty: all
	grpc  bool   // of grpc-go's own server
	needs string // a program; empty: none
	start func(t *testing.T, s *server) running
}

// Over what clients come.
const (
	overH2C   = "h2c"
	overTLS   = "TLS" // each of the next two
	overStays = "TLS-stays"
	overMoves = "TLS-moves" // with core.WithTLSHandoff
)

// running are clients that ask all the time.
type running interface {
	// again is called after each upgrade. Clients that have ended by it begin again.
	again()
	// end ends them, and says what they have counted.
	end() counts
}

// counts are what clients have counted.
type counts struct {
	requests, failed int
	refused          int // of those that have failed: by the server, which had been sent them
	itself           int // of those that have failed: by the client, which has not sent them
	repeated         int // requests that the client has sent again by itself
	connections      int // established
	wanted           int // of those, in the beginning
	resumed, full    int // TLS handshakes; both are 0 if they are not known
	note             string
}

var clients = []client{
	{name: "net/http, 8 Transports, GET", start: netHTTP(8, 1, "GET", 0)},
	{name: "net/http, 8 Transports, POST", start: netHTTP(8, 1, "POST", 2000)},
	{name: "net/http, 8 Transports, streamed POST", start: netHTTP(8, 1, "stream", 2000)},
	{name: "net/http, 1 Transport, 32 goroutines, streamed POST", start: netHTTP(1, 32, "stream", 2000)},
	{name: "net/http, 8 Transports, 4 uploads of 256 kB each", start: netHTTP(8, 4, "stream", 256<<10)},
	{name: "raw client, 8 connections, 4 POSTs of 2 kB each", start: raw(2000)},
	{name: "raw client, 8 connections, 4 uploads of 256 kB each", start: raw(256 << 10)},
	{name: "net/http, HTTP/1, 8 Transports, POST", over: overTLS, start: netHTTP1(8, "POST", 2000)},
	{name: "net/http, HTTP/1, 8 Transports, streamed POST", over: overTLS, start: netHTTP1(8, "stream", 2000)},
	{name: "raw client, HTTP/1, 8 connections, POSTs of 2 kB", over: overTLS, start: rawHTTP1(2000)},
	{name: "curl, one after the other", needs: "curl", start: curl(1, 200)},
	{name: "curl, 8 at a time", needs: "curl", start: curl(8, 200)},
	{name: "curl, 8 uploads of 256 kB at a time", needs: "curl", start: curl(8, 256<<10)},
	{name: "h2load, 8 connections, 4 streams each", needs: "h2load", start: h2load(200, 150_000)},
	{name: "h2load, 8 connections, 4 uploads of 256 kB each", needs: "h2load", start: h2load(256<<10, 20_000)},
	{name: "HAProxy in front, 8 POSTs at a time", needs: "haproxy", start: haproxy(2000)},
	{name: "HAProxy in front, 8 uploads of 256 kB at a time", needs: "haproxy", start: haproxy(256 << 10)},
	{name: "Chromium, POST", over: overTLS, needs: "chromium", start: chromium},
	{name: "grpc-go, unary", start: calls("unary")},
	{name: "grpc-go, client streams", start: calls("client")},
	{name: "grpc-go, server streams", start: calls("server")},
	{name: "grpc-go, bidirectional streams", start: calls("bidi")},
	{name: "grpc-go, unary, on its own transport", grpc: true, start: calls("unary")},
	{name: "grpc-go, client streams, on its own transport", grpc: true, start: calls("client")},
	{name: "grpc-go, server streams, on its own transport", grpc: true, start: calls("server")},
	{name: "grpc-go, bidirectional streams, on its own transport", grpc: true, start: calls("bidi")},
}

// TestClients: over HTTP/2 in the clear, and over TLS that moves, no client notices an upgrade. Over TLS that stays the server
// refuses nothing.
func TestClients(t *testing.T) {
	upgrades, long := 3, false
	if s := os.Getenv(envUpgrades); s != "" {
		upgrades, long = must.Get(strconv.Atoi(s))(t), true
	}
	for _, over := range []string{overH2C, overStays, overMoves} {
		for _, c := range clients {
			if !strings.HasPrefix(over, c.over) {
				continue
			}
			t.Run(over+"/"+c.name, func(t *testing.T) {
				if _, err := exec.LookPath(c.needs); c.needs != "" && err != nil && !long {
					t.Skip(err)
				}
				s := startServer(t, over, c.grpc)
				s.upgrades = upgrades
				run := c.start(t, s)
				s.answers(t)
				for range upgrades {
					s.upgrade(t)
					run.again()
					s.answers(t)
				}
				must.Do(t, os.WriteFile(filepath.Join(s.dir, "over"), nil, 0o600))
				got := run.end()
				moved, stayed := s.moves()
				table.add(row{over, c.name, upgrades, got, moved, stayed})
				t.Logf("%+v, %d moved, %d stayed", got, moved, stayed)
				if got.requests == 0 || got.refused > 0 || got.failed > got.itself {
					t.Errorf("%+v", got)
				}
				if over != overStays && (got.failed > 0 || got.repeated > 0 || got.connections != got.wanted || moved == 0 || stayed > 0) {
					t.Errorf("%+v, %d connections moved, %d stayed", got, moved, stayed)
				}
				if again := got.full + got.resumed - got.wanted; over == overMoves && again > 0 {
					t.Errorf("%d handshakes too many: %+v", again, got)
				}
			})
		}
	}
}

// server is the server in all its generations.
type server struct {
	addr, dir string
	over      string
	upgrades  int         // that there will be
	tls       *tls.Config // of its clients; nil: in the clear
	program   *proctest.Program
	control   *control.Client

	resumed, full atomic.Int64   // handshakes by tls
	calls         *atomic.Uint64 // that grpc-go's own server has answered, which the ledger does not count; nil: it is net/http's
}

func startServer(t *testing.T, over string, grpc bool) *server {
	t.Helper()
	dir := must.Get(os.MkdirTemp("", "gx"))(t) // short, for a unix socket, and without what HAProxy does not take
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &server{addr: proctest.FreeAddr(t), dir: dir, over: over}
	bin, socket := filepath.Join(s.dir, "server"), filepath.Join(s.dir, "c")
	proctest.Build(t, bin, "./server")
	cmd := &exec.Cmd{Path: bin, Args: []string{bin, "-addr", s.addr, "-control", socket}, Dir: s.dir}
	cmd.Env = append(os.Environ(), "PWD="+s.dir, core.EnvMode+"=self")
	if grpc {
		cmd.Args = append(cmd.Args, "-grpc")
		s.calls = new(atomic.Uint64)
	}
	if over != overH2C {
		cert, key, pool := rawhttp.Certificate(t)
		cmd.Args = append(cmd.Args, "-cert", cert, "-key", key, fmt.Sprint("-tls-handoff=", over == overMoves))
		s.tls = &tls.Config{
			RootCAs: pool, ServerName: "127.0.0.1", ClientSessionCache: tls.NewLRUClientSessionCache(0),
			VerifyConnection: func(st tls.ConnectionState) error {
				if st.DidResume {
					s.resumed.Add(1)
				} else {
					s.full.Add(1)
				}
				return nil
			},
		}
	}
	s.program, s.control = proctest.Start(t, cmd), control.Dial(socket)
	s.program.Await("it is current", func() bool {
		_, err := s.control.Status(t.Context())
		return err == nil
	})
	return s
}

// url is that of the server, without a path.
func (s *server) url() string {
	if s.tls != nil {
		return "https://" + s.addr
	}
	return "http://" + s.addr
}

// body is a file of that size.
func (s *server) body(t *testing.T, size int) string {
	t.Helper()
	path := filepath.Join(s.dir, "body")
	must.Do(t, os.WriteFile(path, make([]byte, size), 0o600))
	return path
}

// upgrade upgrades it, and returns when the old process has ended.
func (s *server) upgrade(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	switch outcome, err := s.control.Upgrade(ctx, control.UpgradeOptions{Drain: true}); {
	case err != nil:
		t.Fatal(err)
	case !outcome.OK:
		t.Fatal(outcome, outcome.Details())
	}
	_ = s.program.Reap()
}

// answers returns when the current process has answered some requests more.
func (s *server) answers(t *testing.T) {
	t.Helper()
	want := uint64(0)
	s.program.Await("requests are answered", func() bool {
		served := s.served(t)
		want = cmp.Or(want, served+200)
		time.Sleep(10 * time.Millisecond)
		return served >= want
	})
}

// served is how many requests the current process has answered, or all of grpc-go's.
func (s *server) served(t *testing.T) uint64 {
	t.Helper()
	if s.calls != nil {
		return s.calls.Load()
	}
	var l core.Ledger
	must.Do(t, json.Unmarshal(must.Get(s.control.Ledger(t.Context()))(t), &l))
	return l.Served
}

// servedBefore is how many those before it have answered.
func (s *server) servedBefore() (sum uint64) {
	for _, m := range servedText.FindAllStringSubmatch(s.program.Log.String(), -1) {
		n, _ := strconv.ParseUint(m[1], 10, 64) // they are digits
		sum += n
	}
	return sum
}

var servedText = regexp.MustCompile(`msg="generation ended" .*ledger\.served=(\d+)`)

// moves is how many connections have moved in all upgrades, and how many have not that were to: of those over TLS, or else of
// those of HTTP/2.
func (s *server) moves() (moved, stayed int) {
	what := "http2"
	if s.over == overMoves {
		what = "tls"
	}
	for _, m := range movesText.FindAllStringSubmatch(s.program.Log.String(), -1) {
		n, _ := strconv.Atoi(m[3]) // they are digits
		switch {
		case m[2] != what:
		case m[1] == "moved":
			moved += n
		default:
			stayed += n
		}
	}
	return moved, stayed
}

var movesText = regexp.MustCompile(`ledger\.(moved|stayed)_(http2|tls)(?:_\w+)?=(\d+)`)

// row is a line of the table.
type row struct {
	over, client  string
	upgrades      int
	counts        counts
	moved, stayed int
}

// rows are the table, which is printed at the end.
type rows struct {
	mu  sync.Mutex
	all []row
}

var table rows

func (r *rows) add(one row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, one)
}

func (r *rows) print() {
	if len(r.all) == 0 {
		return
	}
	fmt.Println("\n| over | client | upgrades | requests | failed | refused | by the client itself | repeated | reconnects | handshakes full / resumed | moved / stayed | |")
	fmt.Println("|" + strings.Repeat("---|", 12))
	for _, o := range r.all {
		c := o.counts
		handshakes := "-"
		if c.full+c.resumed > 0 {
			handshakes = fmt.Sprint(c.full, " / ", c.resumed)
		}
		fmt.Printf("| %s | %s | %d | %d | %d | %d | %d | %d | %d | %s | %d / %d | %s |\n", o.over, o.client, o.upgrades,
			c.requests, c.failed, c.refused, c.itself, c.repeated, c.connections-c.wanted, handshakes, o.moved, o.stayed, c.note)
	}
}
