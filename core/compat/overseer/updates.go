package overseer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"aead.dev/minisign"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/compat/overseer/fetcher"
	"github.com/gracex-go/gracex/release"
)

const (
	// tryAgain is when a program is tried again that could not be tried, and lateAgain one that was not ready in time.
	tryAgain  = time.Minute
	lateAgain = 10 * time.Minute
	// partPattern is that of the names of files that are being fetched, in the store's directory.
	partPattern = "fetched-*"
)

// updates fetches new versions and upgrades to them, as background work of the process that has the service.
type updates struct {
	p      *process
	log    *slog.Logger
	keys   []minisign.PublicKey
	own    file   // the program that this process runs
	home   home   //
	socket string // of the operator's interface; empty: Options have to give one
	rests  bool   // the master fetches

	calls   chan fetched // of the call of Fetch that has not returned; nil: there is none
	began   time.Time    // that call
	waiting *candidate   // to be tried, or to be asked for; nil: none
	again   <-chan time.Time
	refused map[string]bool // by SHA-256: it was said
	said    string          // the last thing that has come in the way
	asked   chan struct{}   // has one if a restart is wanted
	askable atomic.Bool     // waiting waits for that
}

// fetched is what a call of Fetch has returned.
type fetched struct {
	r   io.Reader
	err error
}

// close closes what is not used.
func (f fetched) close() {
	if c, ok := f.r.(io.Closer); ok {
		_ = c.Close()
	}
}

// candidate is a program that was fetched, and is what it should be.
type candidate struct {
	path   string // in the store's directory
	sha256 string
}

func (p *process) newUpdates() (*updates, error) {
	f := &updates{p: p, log: p.log, refused: map[string]bool{}, asked: make(chan struct{}, 1)}
	for _, text := range p.Keys {
		var k minisign.PublicKey
		if err := k.UnmarshalText([]byte(text)); err != nil {
			return nil, fmt.Errorf("Config.Keys: %q is no public key of minisign: %w", text, err)
		}
		f.keys = append(f.keys, k)
	}
	if _, local := p.Fetcher.(*fetcher.File); len(f.keys) == 0 && !p.Unsigned && !local {
		return nil, errors.New("whoever answers in its place would decide what this process runs: " +
			"sign the programs with minisign and give its public key in Config.Keys, or accept that by Config.Unsigned")
	}
	var err error
	if f.own, err = ownFile(); err != nil {
		return nil, err
	}
	path, err := launchPath()
	if err != nil {
		return nil, err
	}
	if f.home, err = homeOf(path); err != nil {
		return nil, err
	}
	if err := f.home.prepare(); err != nil {
		return nil, fmt.Errorf("new versions can't be put beside %s: %w", path, err)
	}
	f.socket = f.home.socket(p.Addresses)
	if underMaster() {
		f.rests = true
		f.log.Warn("overseer: overseer's master has started this process, and fetches itself; this one does when the master is left (gracex upgrade --leave)")
		return f, nil
	}
	if err := p.Fetcher.Init(); err != nil {
		return nil, fmt.Errorf("its Init: %w", err)
	}
	return f, nil
}

// options are for the fetcher: releases are tried by the control socket.
func (f *updates) options() []core.Option {
	var opts []core.Option
	if !f.rests {
		opts = append(opts, core.WhileCurrent(f.run))
	}
	if f.socket != "" {
		opts = append(opts, core.WithControlSocket(f.socket))
	}
	return opts
}

// ask has a program that was fetched tried now, and reports whether there is one.
func (f *updates) ask() bool {
	if !f.askable.Load() {
		return false
	}
	select {
	case f.asked <- struct{}{}:
	default:
	}
	return true
}

// run is the loop. It never waits for a call of Fetch at its end: that waits by itself, and can't be ended.
func (f *updates) run(ctx context.Context) error {
	f.clean()
	for {
		if f.calls == nil {
			f.call()
		}
		select {
		case <-ctx.Done():
			return nil
		case got := <-f.calls:
			f.calls = nil
			f.took(ctx, got)
		case <-f.again:
			f.try(ctx, false)
		case <-f.asked:
			f.try(ctx, true)
		}
	}
}

// call calls Fetch, not earlier than MinFetchInterval after the call before.
func (f *updates) call() {
	calls := make(chan fetched)
	pause := time.Until(f.began.Add(f.p.MinFetchInterval))
	if f.began.IsZero() {
		pause = 0
	}
	f.began = time.Now().Add(max(pause, 0))
	f.calls = calls
	go func() {
		time.Sleep(pause)
		r, err := f.p.Fetcher.Fetch()
		select {
		case calls <- fetched{r, err}:
		case <-f.p.u.Done():
			fetched{r, err}.close()
		}
	}()
}

// clean removes what a process that was killed has left.
func (f *updates) clean() {
	left, _ := filepath.Glob(filepath.Join(f.home.dir, partPattern))
	for _, path := range left {
		if f.waiting == nil || f.waiting.path != path {
			_ = os.Remove(path)
		}
	}
}

// drop forgets the program that waits.
func (f *updates) drop() {
	f.askable.Store(false)
	f.again = nil
	if f.waiting != nil {
		_ = os.Remove(f.waiting.path)
		f.waiting = nil
	}
}

// say tells of what has come in the way, once as long as it is the same.
func (f *updates) say(what string, err error) {
	if text := what + err.Error(); text != f.said {
		f.said = text
		f.log.Warn("overseer: "+what, "error", err)
	}
}

// took looks at what Fetch has returned.
func (f *updates) took(ctx context.Context, got fetched) {
	switch {
	case got.err != nil:
		got.close()
		f.say("the fetcher has failed, and is called again", got.err)
		return
	case got.r == nil:
		f.said = ""
		return
	}
	c, err := f.receive(ctx, got)
	switch {
	case ctx.Err() != nil:
		f.remove(c)
		return
	case err != nil:
		f.remove(c)
		f.say("what the fetcher has returned could not be read, and is fetched again", err)
		return
	}
	f.said = ""
	if c.sha256 == f.own.sha256 || f.refused[c.sha256] || f.isBad(c) || f.waiting != nil && f.waiting.sha256 == c.sha256 {
		f.remove(c)
		return
	}
	if err := f.check(c, got.r); err != nil {
		f.remove(c)
		f.log.Error("overseer: what the fetcher has returned is not used", "sha256", c.sha256, "error", err)
		return
	}
	f.drop()
	f.waiting = c
	f.try(ctx, false)
}

func (f *updates) remove(c *candidate) {
	if c != nil {
		_ = os.Remove(c.path)
	}
}

// receive writes a program to a file.
func (f *updates) receive(ctx context.Context, got fetched) (*candidate, error) {
	defer got.close()
	defer context.AfterFunc(ctx, got.close)()
	file, err := os.CreateTemp(f.home.dir, partPattern)
	if err != nil {
		return nil, err
	}
	c := &candidate{path: file.Name()}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(file, h), io.LimitReader(got.r, release.DefaultMaxSize+1))
	if err == nil && n > release.DefaultMaxSize {
		err = fmt.Errorf("it has more than %d bytes", release.DefaultMaxSize)
	}
	if err == nil {
		err = file.Chmod(0o700) // PreUpgrade can execute it
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	c.sha256 = hex.EncodeToString(h.Sum(nil))
	return c, err
}

// isBad reports whether a program was taken back. It says so once.
func (f *updates) isBad(c *candidate) bool {
	st, _, err := release.ReadState(f.home.dir)
	if err != nil {
		return false // the attempt says more
	}
	b, bad := st.Bad[c.sha256]
	if bad {
		f.refused[c.sha256] = true
		f.log.Warn("overseer: what the fetcher has returned was bad before, and is not started again",
			"release", b.Release, "since", b.Since.Format(time.RFC3339), "reason", b.Reason)
	}
	return bad
}

// check looks at the signature, and asks PreUpgrade.
func (f *updates) check(c *candidate, r io.Reader) error {
	if len(f.keys) > 0 {
		if err := f.checkSignature(c, r); err != nil {
			return err
		}
	}
	if f.p.PreUpgrade != nil {
		if err := f.p.PreUpgrade(c.path); err != nil {
			return fmt.Errorf("PreUpgrade: %w", err)
		}
	}
	return nil
}

func (f *updates) checkSignature(c *candidate, r io.Reader) error {
	signed, ok := r.(fetcher.Signed)
	if !ok {
		return errors.New("it is not signed: the reader of the fetcher has no method Signature (fetcher.Signed)")
	}
	signature, err := signed.Signature()
	if err != nil {
		return fmt.Errorf("it is not signed: %w", err)
	}
	file, err := os.Open(c.path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	message := minisign.NewReader(file)
	if _, err := io.Copy(io.Discard, message); err != nil {
		return err
	}
	for _, k := range f.keys {
		if message.Verify(k, signature) {
			return nil
		}
	}
	return fmt.Errorf("none of the %d keys has signed it", len(f.keys))
}
