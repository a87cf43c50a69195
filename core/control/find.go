package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/owner"
	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/text"
)

const (
	// askTimeout bounds the wait for one of many apps that are asked: one that is
	// stopped must not hang the search.
	askTimeout = 2 * time.Second
	// askAtOnce is how many are asked at a time, and maxAsked how many at all.
	askAtOnce = 16
	maxAsked  = 512
)

// howToFind is what to do if no app is found.
const howToFind = "name one by its pid, its pid file or its socket; an app has a socket by core.WithPIDFile or WithControlSocket, " +
	"and one without a socket can be upgraded by kill -USR2"

// Query selects an app by its socket, by its pid file, by any of its processes, or by its program. If several are
// set, Socket counts first, then PIDFile, then PID, then Program.
type Query struct {
	PID             int
	PIDFile, Socket string
	// Program is the path from which the app starts its next version. Two paths are one if they lead to
	// the same place now, links resolved.
	Program string
}

// Find returns a client for the app that q selects, after the app has answered once. The zero Query selects
// the only app that runs and has its socket in a default directory ($XDG_RUNTIME_DIR/gracex, /run/gracex).
// The error is ErrAmbiguous if several run, and ErrNotFound if none does. An app whose socket is elsewhere is
// found by its pid or program on Linux only. If an app hangs, Find takes about 2 s at most.
//
// On Linux an app in another mount or pid namespace, such as a container, is found by the pid that it has here.
func Find(ctx context.Context, q Query) (*Client, error) {
	c, err := find(ctx, q)
	return c, text.Error(err) // it has names and words that others have chosen
}

func find(ctx context.Context, q Query) (*Client, error) {
	switch {
	case q.Socket != "":
		c := Dial(q.Socket)
		_, err := c.Status(ctx)
		if err != nil {
			return nil, err
		}
		return c, nil
	case q.PIDFile != "":
		return findByFile(ctx, q.PIDFile)
	case q.PID < 0:
		return nil, fmt.Errorf("%w: %d is no process number", ErrNotFound, q.PID)
	case q.PID > 0:
		return findByPID(ctx, q.PID, known(proc.Owner(q.PID)))
	case q.Program != "":
		return findByProgram(ctx, q.Program)
	}
	return findOnly(ctx)
}

// answer is what a socket said.
type answer struct {
	client *Client
	status Status
	err    error
}

// hangs reports whether somebody listens who does not answer.
func (a answer) hangs() bool { return errors.Is(a.err, context.DeadlineExceeded) }

// hanging is the error for that. pid may be 0.
func (a answer) hanging(pid int) error {
	who := ""
	if pid != 0 {
		who = fmt.Sprintf(" process %d,", pid)
	}
	return fmt.Errorf("%w:%s socket %s", ErrHangs, who, a.client.path)
}

// ask asks the sockets all at once, each for a short time. dial makes their clients, and says so whom to believe.
func ask(ctx context.Context, paths []string, dial func(path string) *Client) []answer {
	paths = paths[:min(len(paths), maxAsked)]
	answers := make([]answer, len(paths))
	turn := make(chan struct{}, askAtOnce)
	var all sync.WaitGroup
	for i, path := range paths {
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			c := dial(path)
			s, err := c.Status(ctx)
			answers[i] = answer{c, s, err}
		})
	}
	all.Wait()
	return answers
}

// sockets are the paths in the default directories that may be control sockets.
func sockets() (paths []string) {
	for _, dir := range defaultDirs() {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.Type() == os.ModeSocket && strings.HasSuffix(e.Name(), socketExt) {
				paths = append(paths, filepath.Join(dir, e.Name()))
			}
		}
	}
	return paths
}

func findOnly(ctx context.Context) (*Client, error) {
	var found, hung []answer
	var troubles []string
	for _, a := range ask(ctx, sockets(), Dial) {
		switch {
		case a.err == nil:
			found = append(found, a)
		case a.hangs():
			hung = append(hung, a)
		case !errors.Is(a.err, ErrStale):
			troubles = append(troubles, a.err.Error())
		}
	}
	switch {
	case len(found) == 0 && len(hung) > 0:
		return nil, hung[0].hanging(0)
	case len(found) == 0:
		return nil, fmt.Errorf("%w in %s%s; %s", ErrNotFound, strings.Join(defaultDirs(), ", "), among(troubles), howToFind)
	case len(found) == 1 && len(hung) == 0:
		return found[0].client, nil
	}
	var list []string
	for _, a := range found {
		list = append(list, fmt.Sprintf("pid %d (%s, socket %s)", a.status.PID, a.status.Program, a.client.path))
	}
	for _, a := range hung {
		list = append(list, "one that does not answer (socket "+a.client.path+")")
	}
	return nil, fmt.Errorf("%w: %s; name one by its pid", ErrAmbiguous, strings.Join(list, ", "))
}

func findByFile(ctx context.Context, file string) (*Client, error) {
	pid, err := readPIDFile(ctx, file)
	if err != nil {
		return nil, err
	}
	// The pid file of an app in a container names a process of another namespace: what
	// answers on the file's own socket counts.
	users := append(known(proc.Owner(pid)), known(owner.Of(file))...)
	var denied error
	for _, a := range ask(ctx, defaultPaths(file), believing(users)) {
		if a.err == nil && (a.status.Has(pid) || samePath(a.status.PIDFile, file)) {
			if !a.status.Has(pid) && !a.status.Elsewhere() && proc.Alive(pid) {
				return nil, fmt.Errorf("%w: pid file %s names process %d, and process %d answers on its socket %s; name one by its pid",
					ErrAmbiguous, file, pid, a.status.PID, a.client.path)
			}
			return a.client, nil
		}
		switch {
		case errors.Is(a.err, ErrVersion):
			return nil, a.err
		case errors.Is(a.err, ErrPermission), errors.Is(a.err, ErrUntrusted): // the app may have another one
			denied = a.err
		case a.hangs():
			return nil, a.hanging(pid)
		}
	}
	if !proc.Alive(pid) {
		if denied != nil {
			return nil, denied
		}
		return nil, fmt.Errorf("%w: pid file %s names process %d, which does not exist here: the app has crashed or "+
			"was killed; start it again, or name its socket if it runs in another pid namespace", ErrStale, file, pid)
	}
	c, err := findByPID(ctx, pid, users)
	switch {
	case err == nil:
		return c, nil
	case denied != nil:
		return nil, denied
	}
	return nil, fmt.Errorf("pid file %s: %w", file, err)
}

// readPIDFile returns the process number in a pid file. The file can be on a file system that does not answer.
func readPIDFile(ctx context.Context, file string) (int, error) {
	type content struct {
		pid int
		err error
	}
	read := make(chan content, 1)
	go func() {
		path, err := filepath.EvalSymlinks(file) // the operator's
		if err != nil {
			read <- content{0, err}
			return
		}
		pid, err := pidfile.Read(path)
		read <- content{pid, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	select {
	case c := <-read:
		switch {
		case errors.Is(c.err, os.ErrNotExist):
			return 0, fmt.Errorf("%w: there is no pid file %s; the app is not running, or has another one", ErrNotFound, file)
		case errors.Is(c.err, os.ErrPermission):
			return 0, fmt.Errorf("%w: pid file %s%s; run this as that user, or as root", ErrPermission, file, ownedBy(file))
		case c.err != nil:
			return 0, fmt.Errorf("%w: %w", ErrNotFound, c.err)
		}
		return c.pid, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("pid file %s: the file system does not answer; name the app by its pid or its socket: %w", file, ctx.Err())
	}
}

func samePath(a, b string) bool {
	abs, err := filepath.Abs(b)
	return err == nil && a != "" && filepath.Clean(a) == abs
}

// believing returns what makes a client for an app that belongs to one of the users. If none is known, because the
// system does not tell to whom a process belongs, the directory of the socket says that.
func believing(users []int) func(path string) *Client {
	if len(users) == 0 {
		return Dial
	}
	return func(path string) *Client { return dial(path, users...) }
}

func findByPID(ctx context.Context, pid int, users []int) (*Client, error) {
	tried := sockets()
	own, owns := socketsOf(pid)
	var troubles []string
	var untrusted error
	denied := errors.Is(owns, os.ErrPermission)
	for i, a := range ask(ctx, append(own, tried...), believing(users)) {
		switch {
		case a.hangs() && i < len(own):
			return nil, a.hanging(pid)
		case a.err == nil && a.status.isOf(pid, i < len(own)):
			return a.client, nil
		case errors.Is(a.err, ErrUntrusted) && i < len(own): // others' apps are in the default directories, too
			untrusted = a.err
		case errors.Is(a.err, ErrVersion), errors.Is(a.err, ErrPermission), a.hangs():
			troubles = append(troubles, a.err.Error())
		}
	}
	switch {
	case !proc.Alive(pid):
		return nil, fmt.Errorf("%w: there is no process %d", ErrNotFound, pid)
	case untrusted != nil:
		return nil, untrusted
	case denied:
		return nil, fmt.Errorf("%w: process %d is another user's%s; run this as that user, or as root", ErrPermission, pid, among(troubles))
	}
	return nil, fmt.Errorf("%w: process %d is there, but is not a gracex app with a control socket (looked in %s, and at the sockets of that process)%s; "+
		"start it with core.WithControlSocket or WithPIDFile, or kill -USR2 %d", ErrNotFound, pid, strings.Join(defaultDirs(), ", "), among(troubles), pid)
}

// isOf reports whether pid is the number of one of the app's processes here. own says that the process listens on
// the socket that has answered: then a number of the process in another pid namespace, which it may have reported,
// is its own.
func (s Status) isOf(pid int, own bool) bool {
	numbers := proc.Numbers(pid)
	if s.Elsewhere() {
		if theirs := proc.PIDNamespaceOf(pid); theirs != 0 && theirs != s.PIDNamespace {
			return false
		}
		return slices.ContainsFunc(numbers[1:], s.Has) // the first is this namespace's
	}
	return s.Has(pid) || own && slices.ContainsFunc(numbers, s.Has)
}

// findByProgram looks for the app that runs a program, of which it may not have answered to each process.
func findByProgram(ctx context.Context, program string) (*Client, error) {
	want := resolved(program)
	var found, hung []answer
	var troubles []string
	var untrusted error
	own, named := socketsOfProgram(program)
	own = unique(own)
	for i, a := range ask(ctx, unique(slices.Concat(own, named, sockets())), dialWhereverItIs) {
		switch {
		case a.err == nil && resolved(a.status.Program) == want:
			found = append(found, a)
		case a.hangs() && i < len(own):
			hung = append(hung, a)
		case errors.Is(a.err, ErrUntrusted) && i < len(own):
			untrusted = a.err
		case errors.Is(a.err, ErrVersion), errors.Is(a.err, ErrPermission), a.hangs():
			troubles = append(troubles, a.err.Error())
		}
	}
	switch {
	case len(found) == 0 && len(hung) > 0:
		return nil, hung[0].hanging(0)
	case len(found) == 0 && untrusted != nil:
		return nil, untrusted
	case len(found) == 0:
		return nil, fmt.Errorf("%w that runs the program %s%s; %s", ErrNotFound, program, among(troubles), howToFind)
	case len(found) == 1:
		return found[0].client, nil
	}
	var list []string
	for _, a := range found {
		list = append(list, fmt.Sprintf("pid %d (socket %s)", a.status.PID, a.client.path))
	}
	return nil, fmt.Errorf("%w with the program %s: %s; name one by its pid", ErrAmbiguous, program,
		strings.Join(list, ", "))
}

// dialWhereverItIs is Dial for a socket in a default directory. Elsewhere the directory says nothing: any user can run
// a program of that name, with a socket in a directory of that user's.
func dialWhereverItIs(path string) *Client {
	if slices.Contains(defaultDirs(), filepath.Dir(path)) {
		return Dial(path)
	}
	return dial(path)
}

// resolved is a path without links, as far as it exists.
func resolved(path string) string {
	if r, err := filepath.EvalSymlinks(path); err == nil {
		path = r
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return path
}

// unique returns paths once that lead to the same socket.
func unique(paths []string) (out []string) {
	seen := make(map[string]bool)
	for _, path := range paths {
		if r := resolved(path); !seen[r] {
			seen[r] = true
			out = append(out, path)
		}
	}
	return out
}

// among adds what was in the way.
func among(troubles []string) string {
	if len(troubles) == 0 {
		return ""
	}
	return " [" + strings.Join(troubles, "; ") + "]"
}
