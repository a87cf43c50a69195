package control

import (
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/gracex-go/gracex/core/internal/owner"
)

// checkPeer refuses a server that is neither root's nor this user's, nor of one of the users to whom the app can
// belong: whoever may write to the directory can answer in the app's place.
func (c *Client) checkPeer(nc net.Conn) error {
	uid, known, err := owner.Peer(nc)
	own := os.Geteuid()
	switch {
	case err != nil:
		_ = nc.Close()
		return fmt.Errorf("it is not known whose process answers: %w", err)
	case !known || uid == 0 || uid == own || slices.Contains(c.users, uid):
		return nil
	}
	_ = nc.Close()
	users := slices.Concat([]int{0, own}, c.users)
	slices.Sort(users)
	return fmt.Errorf("%w: on %s%s a process of user %d answers, and the app can only be that of one of the users %v; look who may write "+
		"to the directory of the socket, or if the app is user %d's, run this as that user, or name the app by the pid of a process of that user",
		ErrUntrusted, c.path, ownedBy(c.path), uid, slices.Compact(users), uid)
}
