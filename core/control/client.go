package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gracex-go/gracex/core/internal/owner"
	"github.com/gracex-go/gracex/core/internal/text"
)

const (
	// maxAnswer bounds an answer in bytes; a status takes about 300 for each process.
	maxAnswer = 4 << 20
	// maxLine bounds a line of the upgrade stream in bytes. The longest is the outcome,
	// with the last lines that a process wrote.
	maxLine = 1 << 20
)

// Client talks to one control socket. It connects for each call, so that each call reaches the
// process that is current then. Any number of goroutines may use it.
type Client struct {
	path  string
	users []int // whose processes may answer, beside this user's and root's
}

// Dial returns a client for the socket at path. It does not connect. The first call reports what
// is wrong with the path.
//
// The process that answers must be root's, this user's, or that of the user to whom the socket's directory belongs.
func Dial(path string) *Client {
	return dial(path, known(owner.Of(filepath.Dir(path)))...)
}

// dial returns a client that believes the processes of these users, too.
func dial(path string, users ...int) *Client { return &Client{path, users} }

// known is a user if that is known.
func known(uid int, known bool) []int {
	if known {
		return []int{uid}
	}
	return nil
}

// Path returns the path of the socket.
func (c *Client) Path() string { return c.path }

// Status asks the current process about itself and about the older ones that still run. Like
// every method it returns an error that wraps ErrNotFound if no socket is at the path, ErrStale
// if no process listens on it, ErrPermission if it belongs to another user, ErrUntrusted if another user's process
// answers, ErrForeign if another program answers, and ErrVersion if the app speaks another version.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// Ledger returns the counts of the current process, a core.Ledger as JSON.
func (c *Client) Ledger(ctx context.Context) (json.RawMessage, error) {
	var raw json.RawMessage
	err := c.call(ctx, http.MethodGet, "/v1/ledger", nil, &raw)
	return raw, err
}

// Rollback takes back an upgrade that is on probation, and the old process serves again. The app
// logs the reason. The error wraps ErrRefused if no upgrade is on probation.
func (c *Client) Rollback(ctx context.Context, reason string) error {
	body := struct {
		Reason string `json:"reason"`
	}{text.Reason(reason)}
	return c.call(ctx, http.MethodPost, "/v1/rollback", body, nil)
}

// Stop stops the service. It returns when the stop has begun. Requests that are being answered
// are finished after that.
func (c *Client) Stop(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/stop", nil, nil)
}

// End is like Stop, and ends the process if its main function does not return: by SIGTERM 5 s after the stop, for a
// main that waits for that signal, and by SIGKILL after 30 s. Do not call it for an app in this process.
func (c *Client) End(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/stop?end=1", nil, nil)
}

// StopAndWait is like End, and returns when all processes of the app have ended. Of an app in another pid
// namespace the numbers mean nothing here: there it returns when the process that serves has ended. The others, which
// still drain, can end a little later.
func (c *Client) StopAndWait(ctx context.Context) (err error) {
	defer func() { err = text.Error(err) }()
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodPost, "/v1/stop?end=1&wait=1", nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body) // to the end of the process, whatever that is
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		left := status.living()
		switch {
		case ctx.Err() != nil && status.Elsewhere():
			return fmt.Errorf("%s: the app has not ended; the stop goes on: %w", c.path, ctx.Err())
		case ctx.Err() != nil:
			return fmt.Errorf("processes %v are still there; the stop goes on: %w", left, ctx.Err())
		case len(left) == 0:
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// lookEvery is how often StopAndWait looks whether the processes are gone, and Upgrade whether a process takes it.
const lookEvery = 50 * time.Millisecond

// UpgradeOptions says how an upgrade is followed. The zero UpgradeOptions waits for the outcome.
type UpgradeOptions struct {
	// Events receives each step. It may be nil.
	Events func(Event)
	// Drain waits until the old process has drained, too. Then Events also receives StepDraining,
	// several times, and StepDrained. If the context ends or the connection breaks after the outcome,
	// Upgrade returns both the outcome and an error.
	Drain bool
	// Leave is for a worker of a foreign master, such as start_server. The new process does not belong to
	// the master, and the master ends after the old process has drained. It implies Drain. See
	// core.Upgrader.Leave.
	Leave bool
	// Start says how the new process is started.
	Start StartOptions
	// Release is the name of the release to start, a directory beside the one to which the app's symlink current
	// leads, and not a path. Empty means the release at the launch path. See core.Upgrader.UpgradeTo. The error wraps
	// ErrNoRelease if the app can't start it, and ErrVersion if the app's gracex is older than this option. Then
	// nothing was started. It excludes Leave.
	Release string
	// Check ends the new process when it is ready, and nothing is handed over: see core.Upgrader.Check. The error wraps
	// ErrVersion if the app's gracex is older than this option. Then nothing was started. It excludes Drain and Leave.
	Check bool
}

// Upgrade starts an upgrade and returns the outcome when the probation is over. The error is nil if the
// outcome is known, even if the outcome is not OK. If ctx ends, Upgrade stops watching, and the upgrade
// goes on.
func (c *Client) Upgrade(ctx context.Context, opts UpgradeOptions) (Outcome, error) {
	query := make(url.Values)
	if opts.Leave || opts.Drain {
		query.Set("drain", "1")
	}
	if opts.Leave {
		query.Set("leave", "1")
	}
	target := "/v1/upgrade"
	switch {
	case opts.Check && (opts.Leave || opts.Drain):
		return Outcome{}, errors.New("a check hands nothing over, so nothing drains and no program is left")
	case opts.Release != "" && opts.Leave:
		return Outcome{}, errors.New("an upgrade to a release can't leave the program that starts the app's versions; leave it first, without the name of a release")
	case opts.Check:
		target = PathCheck
	case opts.Release != "":
		target = PathUpgradeTo
	}
	if opts.Release != "" {
		query.Set("release", opts.Release)
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	if err := opts.Start.check(); err != nil {
		return Outcome{}, err
	}
	opts.Start.CompareEnv = slices.DeleteFunc(slices.Clone(opts.Start.CompareEnv), func(v string) bool {
		return !utf8.ValidString(v)
	})
	var body any
	if !opts.Start.isZero() {
		body = opts.Start
	}
	o, err := c.upgrade(ctx, target, body, opts.Events)
	switch {
	case !errors.Is(err, errNotThere):
	case opts.Check:
		err = fmt.Errorf("%w: %s: the app's gracex can't check a new version, so nothing was started", ErrVersion, text.Printable(c.path))
	case opts.Release != "":
		err = fmt.Errorf("%w: %s: the app's gracex can't upgrade to a release by its name, so nothing was started; switch its symlink first, and upgrade "+
			"without the name of a release", ErrVersion, text.Printable(c.path))
	}
	return o, err
}

// PathUpgradeTo is where an upgrade to a release is asked for, and PathCheck a check. They are not that of any upgrade:
// an app which does not know them is to refuse, and not to upgrade to the release at the launch path.
const (
	PathUpgradeTo = "/v1/upgrade-to"
	PathCheck     = "/v1/check"
)

func (c *Client) upgrade(ctx context.Context, url string, body any, events func(Event)) (o Outcome, err error) {
	defer func() { err = text.Error(err) }() // it has words of the app
	resp, err := c.do(ctx, http.MethodPost, url, body)
	// The head of the answer comes before anything is done (docs/control.md).
	for end := time.Now().Add(endTime); errors.Is(err, errNotInCharge) || errors.Is(err, errHungUp) && time.Now().Before(end); {
		select {
		case <-time.After(lookEvery):
			resp, err = c.do(ctx, http.MethodPost, url, body)
		case <-ctx.Done():
			err = fmt.Errorf("%w; no upgrade was started: %w", err, ctx.Err())
			return o, err
		}
	}
	if err != nil {
		return o, err
	}
	defer func() { _ = resp.Body.Close() }()
	known, last := false, ""
	for in := newLines(resp.Body); ; {
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF) && known:
			return o, nil
		case ctx.Err() != nil:
			return o, fmt.Errorf("%w: the upgrade goes on, and is not watched any more", ctx.Err())
		case errors.Is(err, bufio.ErrTooLong):
			return o, c.foreign(err)
		case err != nil && known:
			return o, fmt.Errorf("%s: the drain of process %d is not watched any more: %w", c.path, o.OldPID, err)
		case err != nil:
			return o, fmt.Errorf("%s: the outcome of the upgrade is not known, the process that did it is gone (after %q); ask for the status: %w", c.path, last, err)
		}
		var end struct { // without an Event: its UnmarshalJSON would be taken for the whole
			Outcome *Outcome `json:"outcome"`
		}
		if err := json.Unmarshal(line, &end); err != nil {
			return o, c.foreign(err)
		}
		if end.Outcome != nil && end.Outcome.Kind == "" {
			return o, c.foreign(errors.New("an outcome without a kind"))
		}
		if end.Outcome != nil {
			o, known = *end.Outcome, true
			continue
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return o, c.foreign(err)
		}
		if last = e.Step; events != nil {
			events(e)
		}
	}
}

// call is a request with a short answer.
func (c *Client) call(ctx context.Context, method, url string, body, answer any) (err error) {
	defer func() { err = text.Error(err) }()
	resp, err := c.do(ctx, method, url, body)
	// A process that ends as it is asked has hung up. Another one is at the path then, and a question can be repeated.
	for end := time.Now().Add(questionTime); method == http.MethodGet && errors.Is(err, errHungUp) && time.Now().Before(end); {
		select {
		case <-time.After(lookEvery):
			resp, err = c.do(ctx, method, url, body)
		case <-ctx.Done():
			return err
		}
	}
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if answer == nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: the answer broke off: %w", c.path, err)
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return c.foreign(err)
	}
	return nil
}

// do sends a request on a connection of its own and checks who answers.
func (c *Client) do(ctx context.Context, method, url string, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://gracex"+url, in)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	var heard atomic.Bool
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			nc, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", c.path)
			if err == nil {
				err = c.checkPeer(nc)
			}
			if err != nil {
				return nil, &dialError{err}
			}
			return &heardConn{nc, &heard}, nil
		},
	}
	resp, err := tr.RoundTrip(req)
	var dial *dialError
	switch {
	case errors.As(err, &dial):
		return nil, c.explain(ctx, dial.error)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: no answer: %w", c.path, ctx.Err())
	case err != nil && !heard.Load():
		return nil, c.foreign(fmt.Errorf("%w: %w", errHungUp, err))
	case err != nil:
		return nil, c.foreign(err)
	}
	if err := c.check(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// dialError tells a socket that can't be reached from one that answers nonsense.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }

// heardConn notes that something was read.
type heardConn struct {
	net.Conn
	heard *atomic.Bool
}

func (c *heardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, err
}

// endTime is how long a process that ends can be found at the path, before the next one is.
const endTime = 5 * time.Second

// questionTime is how long a question is repeated that is hung up on: less than endTime, because what always hangs up is
// no gracex app.
const questionTime = time.Second

// dialTimeout bounds the wait for a process whose queue of connections is full.
const dialTimeout = 5 * time.Second

// check reports what an answer is if it is not the one that was asked for.
func (c *Client) check(resp *http.Response) error {
	v := resp.Header.Get(HeaderProtocol)
	if v == "" {
		return c.foreign(fmt.Errorf("status %d without a %s header", resp.StatusCode, HeaderProtocol))
	}
	if n, err := strconv.Atoi(v); err != nil || n != Protocol {
		return fmt.Errorf("%w: %s speaks version %s, this program version %d; use the gracex command of the app's release", ErrVersion, c.path, v, Protocol)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return nil
	}
	var body ErrorBody
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if json.Unmarshal(b, &body) != nil || body.Error.Message == "" {
		body.Error.Message = resp.Status
	}
	switch body.Error.Code {
	case CodeRefused:
		return fmt.Errorf("%w: %s", ErrRefused, body.Error.Message)
	case CodeNoRelease:
		return fmt.Errorf("%w: %s", ErrNoRelease, strings.TrimPrefix(body.Error.Message, ErrNoRelease.Error()+": "))
	case CodeNotFound:
		return fmt.Errorf("%s: %w: %s", c.path, errNotThere, body.Error.Message)
	case CodePermission:
		return fmt.Errorf("%w: %s: %s", ErrPermission, c.path, body.Error.Message)
	case CodeNotInCharge:
		return fmt.Errorf("%s: %w", c.path, errNotInCharge)
	}
	return fmt.Errorf("%s: %s", c.path, body.Error.Message)
}

func (c *Client) foreign(err error) error {
	return fmt.Errorf("%w: %s: %w", ErrForeign, c.path, err)
}
