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
	return fmt.Errorf("%w: on %s%s a process of user %d answers, and the app must be root's or that of one of the users %v; "+
		"look who may write to the directory of the socket, run this as user %d if the app is theirs, or name the app by its pid",
		ErrUntrusted, c.path, ownedBy(c.path), uid, append([]int{own}, c.users...), uid)
}
