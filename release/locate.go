package release

import (
	"fmt"
	"os"
	"path/filepath"
)

// maxSymlinks bounds the symlinks that are followed, as the kernel does (path_resolution(7)).
const maxSymlinks = 40

// Locate returns the directory of the store through which a program is started, and the program's name, for [Open]. The
// path is that by which the app was started, such as a control.Status's Program: /srv/shop/current/shop, or a symlink
// that leads there. The error says that it is another one.
func Locate(path string) (dir, program string, err error) {
	at := path
	for range maxSymlinks {
		above, name := filepath.Dir(at), filepath.Base(at)
		if filepath.Base(above) == currentLink {
			if fi, err := os.Lstat(above); err == nil && fi.Mode()&os.ModeSymlink != 0 {
				return filepath.Dir(above), name, nil
			}
		}
		target, err := os.Readlink(at)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(above, target)
		}
		at = target
	}
	return "", "", fmt.Errorf("release: %s does not lead through a symlink %s to a release", printable(path), currentLink)
}
