//go:build unix

package main

import (
	"crypto/tls"
	"flag"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/examples/internal/latency"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

const patience = exampletest.Patience

// How much the tests do. "make websockets" does more of it; docs/websockets.md has its figures.
var (
	sockets  = flag.Int("ws.sockets", 16, "how many clients there are")
	upgrades = flag.Int("ws.upgrades", 4, "how many upgrades there are")
	rollback = flag.Int("ws.rollback", 3, "every which upgrade is rolled back; 0 is none")
	gap      = flag.Duration("ws.gap", 20*time.Millisecond, "how long a client waits between two messages")
	pause    = flag.Duration("ws.pause", 0, "how long to wait between two upgrades")
	// Melody writes from a queue, which is empty in time, however slow the machine is.
	settle = flag.Duration("ws.settle", time.Second, "how long what was read may take to be written")
	each   = flag.Bool("ws.each", false, "test each library and each other client by itself, too")
)

func start(t *testing.T, args ...string) *exampletest.Program {
	return exampletest.Start(t, append(args, "-probation", "300ms", "-settle", settle.String())...)
}

// TestSocketsStay: each client gets all that it has sent back, and the server's numbers, once and in order, over one
// connection, through upgrades and rollbacks. Each library has clients of both kinds, some of them with compression.
func TestSocketsStay(t *testing.T) {
	t.Parallel()
	p, took := start(t), &latency.Log{}
	throughUpgrades(t, p, newGoCrowd(t, p, nil, took, mixed()), took)
}

// TestSocketsStay_TLS is TestSocketsStay for wss. Nobody shakes hands again: a client has one connection.
func TestSocketsStay_TLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := rawhttp.Certificate(t)
	p, took := start(t, "-cert", cert, "-key", key), &latency.Log{}
	throughUpgrades(t, p, newGoCrowd(t, p, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}, took, mixed()), took)
}

// mixed has clients of both kinds for each library and each router.
func mixed() func(i int) kind {
	paths := append(slices.Sorted(maps.Keys(libraries)), "gin", "echo", "chi")
	return func(i int) kind {
		n := i + i/len(paths)
		return kind{path: paths[i%len(paths)], coder: n%2 == 1, compresses: n/2%2 == 0}
	}
}

// TestEachLibrary has clients of one library at a time, with compression and without.
func TestEachLibrary(t *testing.T) {
	if !*each {
		t.Skip("-ws.each, which \"make websockets\" sets, asks for it")
	}
	for _, path := range slices.Sorted(maps.Keys(libraries)) {
		for _, compresses := range []bool{false, true} {
			if compresses && path == "xnet" {
				continue // it has none
			}
			name := path
			if compresses {
				name += ", compressed"
			}
			t.Run(name, func(t *testing.T) {
				p, took := start(t), &latency.Log{}
				c := newGoCrowd(t, p, nil, took, func(i int) kind { return kind{path, i%2 == 1, compresses} })
				throughUpgrades(t, p, c, took)
			})
		}
	}
}
