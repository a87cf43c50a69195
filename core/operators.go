package core

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/gracex-go/gracex/core/internal/acl"
	"github.com/gracex-go/gracex/core/internal/owner"
)

// overflowUID is the user as whom the kernel shows one that has no number in a user namespace: see user_namespaces(7).
const overflowUID = 65534

// WithOperators names users, by their numbers, that may use the control socket beside root and the user of this
// process: a deployer, for example. An operator may see the status, start an upgrade, also to any release that is there
// (UpgradeTo), roll it back, and stop the service. The answers have the last lines that a new version wrote to its
// stderr. An operator may not change the environment and the arguments of a new version, and not make the service leave
// its foreign master: that would be to run anything as the service's user.
//
// The kernel says who asks (SO_PEERCRED), and an access control list lets these users connect, and nobody else. So the
// socket has to be on a file system that has such lists, as /run has, and they have to be able to enter the directory
// of WithControlSocket and those above it. One that does not exist is made with mode 0755. The log says what is in the
// way.
//
// The list is that of the process which is current, and of the old one again after a rollback. It needs Linux. On other
// systems New fails, and so it does for a negative number and for 65534, as which the users of another user namespace
// show. Left out or empty, there are no operators.
func WithOperators(uids ...int) Option {
	return func(c *config) {
		c.operators, c.operatorsErr = slices.Clone(uids), nil
		for _, uid := range uids {
			if uid < 0 || uid == overflowUID {
				c.operatorsErr = fmt.Errorf("%sWithOperators: %d is not the number of one user; give one from /etc/passwd", prefix, uid)
			}
		}
		if len(uids) > 0 && !acl.Supported {
			c.operatorsErr = fmt.Errorf("%sWithOperators: this system has no access control list of a socket; leave the option out: %w", prefix, owner.ErrUnsupported)
		}
	}
}

// peerKey is the context key of the user who asks.
type peerKey struct{}

// asker is who asks over the control socket.
type asker struct {
	uid      int
	operator bool  // neither root nor the user of this process
	refused  error // why nothing is done for that user; nil if something is
}

// whoAsks looks at the user. Others than those that may can only be there if somebody has opened the socket's mode to
// them.
func whoAsks(c net.Conn, operators []int) asker {
	uid, known, err := owner.Peer(c)
	own := os.Geteuid()
	switch {
	case err != nil:
		return asker{refused: fmt.Errorf("it is not known whose process asks: %w", err)}
	case !known || uid == own || uid == 0:
		return asker{uid: uid}
	case slices.Contains(operators, uid):
		return asker{uid: uid, operator: true}
	}
	return asker{refused: fmt.Errorf("the app runs as user %d and takes no orders from user %d; run this as that user, or as root, "+
		"or name the user by core.WithOperators", own, uid)}
}

// mayNot is why an operator may not do something.
func (a asker) mayNot(what string) string {
	return fmt.Sprintf("user %d is an operator (core.WithOperators) and may not %s; run this as the app's user, or as root", a.uid, what)
}

// admit lets the operators connect to the socket, and no users that an earlier process let.
func (s *controlSocket) admit() {
	if s == nil {
		return
	}
	s.admitting.Lock()
	defer s.admitting.Unlock()
	path, users := s.ln.origin.Address, s.u.cfg.operators
	if len(users) == 0 {
		if err := acl.Clear(path, socketMode); err != nil {
			s.u.log.Error("control socket: earlier operators are not shut out; they are refused", "path", path, "error", err)
		}
		return
	}
	if err := acl.Set(path, acl.ReadWrite, users); err != nil {
		s.u.log.Error("control socket: the operators can't connect; put it on a file system with access control lists, such as /run",
			"path", path, "operators", users, "error", err)
		return
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if fi, err := os.Stat(dir); err == nil && fi.Mode()&0o001 == 0 {
			s.u.log.Warn("control socket: the operators may not be able to enter the directory; chmod o+x it, or choose another path by WithControlSocket",
				"directory", dir, "mode", fi.Mode().String(), "operators", users)
		}
		if dir == filepath.Dir(dir) {
			return
		}
	}
}
