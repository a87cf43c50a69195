package core

import (
	"fmt"

	"github.com/gracex-go/gracex/core/internal/owner"
	"github.com/gracex-go/gracex/core/internal/spawn"
)

// WithTrustedBinary refuses to start a program that somebody else can change. It is for a service that runs as root, or
// with more rights than the users who have access to its files. Before each start, by an upgrade and by a supervisor
// after a crash, the program's file and every directory and symlink that leads to it are looked at. Each has to belong
// to root or to this process's user, and its mode must let nobody else write. Else the upgrade fails with ErrUntrusted,
// which names the file or directory, its owner, its mode and the remedy.
//
// A directory with the sticky bit, such as /tmp, may be on the path, but may not hold the program itself. The file that
// was looked at is the one that is executed, by its descriptor, so /proc has to be mounted. A script (#!) is executed by
// its path, which its interpreter opens. The first start is not looked at, because the program runs by then.
//
// It needs Linux. On other systems New fails. Left out, whoever can write the file decides what is started.
func WithTrustedBinary() Option {
	return func(c *config) {
		c.trusted = true
		if !spawn.CanCheck {
			c.trustedErr = fmt.Errorf("%sWithTrustedBinary: a program can't be checked before its start on this system; "+
				"leave the option out: %w", prefix, owner.ErrUnsupported)
		}
	}
}
