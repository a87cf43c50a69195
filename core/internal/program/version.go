package program

import (
	"runtime/debug"
	"strings"
)

// maxVersion bounds what a program may call itself, in bytes.
const maxVersion = 100

// ShortVersion cuts a version to what a program may call itself.
func ShortVersion(v string) string {
	return strings.ToValidUTF8(v[:min(len(v), maxVersion)], "")
}

// Version returns what the build information of this program says: a tag, or the commit
// that it was built from. It is empty for a program of no module and no commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return ShortVersion(v)
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + dirty
}
