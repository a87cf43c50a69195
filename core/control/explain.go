package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// explain says why the socket can't be reached, and what to do about it.
func (c *Client) explain(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ErrUntrusted):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: no answer: %w", c.path, ctx.Err())
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no socket %s; is the app running, with core.WithControlSocket or WithPIDFile?", ErrNotFound, c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s%s; run this as that user, or as root", ErrPermission, c.path, ownedBy(c.path))
	case errors.Is(err, syscall.ECONNREFUSED):
		if fi, serr := os.Lstat(c.path); serr == nil && fi.Mode().Type() != fs.ModeSocket {
			return fmt.Errorf("%w: %s is a %s", ErrForeign, c.path, kind(fi))
		}
		return fmt.Errorf("%w: nobody listens on %s; the next start of the app replaces it", ErrStale, c.path)
	case errors.Is(err, syscall.ENOTSOCK), errors.Is(err, syscall.EPROTOTYPE):
		return fmt.Errorf("%w: %s: %w", ErrForeign, c.path, err)
	}
	return fmt.Errorf("control socket %s: %w", c.path, err)
}

func kind(fi fs.FileInfo) string {
	switch {
	case fi.IsDir():
		return "directory"
	case fi.Mode().IsRegular():
		return "file"
	}
	return "special file"
}
