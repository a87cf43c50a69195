package core

import (
	"runtime/debug"
	"strings"
)

// maxVersion bounds what a program may call itself, in bytes.
const maxVersion = 100

func shortVersion(v string) string {
	return strings.ToValidUTF8(v[:min(len(v), maxVersion)], "")
}

// buildVersion is what the build information says: a tag, or the commit that the
// program was built from; empty for one that was built from no module and no commit.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return shortVersion(v)
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
