package control

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/gracex-go/gracex/core/internal/owner"
)

// systemDir is for programs that have no runtime directory of a user, as most services have
// not. Tests have another one, without the machine's apps.
var systemDir = "/run/gracex"

const (
	// socketExt is what the names of sockets in a default directory end in.
	socketExt = ".sock"
	// maxBase keeps a default path within what sun_path holds: 104 bytes on macOS and
	// the BSDs, 108 on Linux (unix(7)).
	maxBase = 40
)

// DefaultDir returns the directory of the sockets of apps that name no path. It is the user's own
// $XDG_RUNTIME_DIR/gracex, or /run/gracex if that variable is not set, or is another user's, as sudo -E leaves it.
func DefaultDir() string {
	if dir, err := owner.RuntimeDir(); err == nil && dir != "" {
		return filepath.Join(dir, "gracex")
	}
	return systemDir
}

// DefaultPath returns the path of the socket of an app with this pid file. It is in DefaultDir. Its name is
// the file's name and a hash of the file's absolute path, because many services name the file app.pid.
func DefaultPath(pidFile string) string { return filepath.Join(DefaultDir(), defaultName(pidFile)) }

// defaultPaths are those where an app may have made it: its environment may be another one.
func defaultPaths(pidFile string) (paths []string) {
	for _, dir := range defaultDirs() {
		paths = append(paths, filepath.Join(dir, defaultName(pidFile)))
	}
	return paths
}

func defaultName(pidFile string) string {
	if abs, err := filepath.Abs(pidFile); err == nil {
		pidFile = abs
	}
	pidFile = filepath.Clean(pidFile)
	sum := sha256.Sum256([]byte(pidFile))
	base := strings.TrimSuffix(filepath.Base(pidFile), ".pid")
	if len(base) > maxBase {
		base = base[:maxBase]
	}
	return base + "-" + hex.EncodeToString(sum[:4]) + socketExt
}

// defaultDirs are the directories where apps may have made theirs.
func defaultDirs() []string {
	if dir := DefaultDir(); dir != systemDir {
		return []string{dir, systemDir}
	}
	return []string{systemDir}
}
