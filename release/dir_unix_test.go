//go:build unix

package release_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/sourcetest"
)

// TestDir_DoesNotWaitAtAPipe: a pipe without a writer would be opened when one comes.
func TestDir_DoesNotWaitAtAPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must.Do(t, syscall.Mkfifo(filepath.Join(dir, "release.json"), 0o600))
	_, err := release.Dir(dir).Head(t.Context(), "")
	sourcetest.NotTried(t, err)
}
