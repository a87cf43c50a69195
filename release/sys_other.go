//go:build !linux && !darwin && !freebsd

package release

import (
	"io/fs"
	"os"

	"github.com/gracex-go/gracex/core"
)

var supported = core.ErrUnsupported

func isDiskFull(error) bool { return false }

func flock(*os.File) (bool, error) { return false, supported }

func unlock(*os.File) error { return supported }

func freeSpace(*os.File) (int64, error) { return 0, supported }

func ownerOf(fs.FileInfo) (uid, gid int) { return -1, -1 }

func linksOf(fs.FileInfo) int { return 1 }

func openNoFollow(string, int, fs.FileMode) (*os.File, error) { return nil, supported }

func replaceFile(*os.Root, string, []byte, int, int) error { return supported }

func replaceLink(*os.Root, string, string) error { return supported }

func giveTo(*os.File, int, int) error { return supported }

func isNoexec(*os.File) bool { return false }

func capabilities(string) ([]byte, error) { return nil, supported }

func capabilitiesOf(*os.File) ([]byte, error) { return nil, supported }

func setCapabilities(*os.File, []byte) error { return supported }

func running() []os.FileInfo { return nil }

func programOf(int) os.FileInfo { return nil }
