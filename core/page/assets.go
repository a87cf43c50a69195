package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed assets
var files embed.FS

// asset is a file of the page.
type asset struct {
	kind, tag string // Content-Type and ETag
	content   []byte
}

// assets are the files that a browser loads, by their names without a directory.
var assets = load()

func load() map[string]asset {
	kinds := map[string]string{
		".html": "text/html; charset=utf-8",
		".css":  "text/css; charset=utf-8",
		".js":   "text/javascript; charset=utf-8",
		".svg":  "image/svg+xml",
	}
	all := make(map[string]asset)
	_ = fs.WalkDir(files, ".", func(file string, d fs.DirEntry, _ error) error { // an embedded file can be read
		if kind, ok := kinds[path.Ext(file)]; ok {
			content, _ := files.ReadFile(file)
			sum := sha256.Sum256(content)
			all[path.Base(file)] = asset{kind, `"` + hex.EncodeToString(sum[:8]) + `"`, content}
		}
		return nil
	})
	return all
}

// serve answers with the file. A browser asks each time whether it has changed: an upgrade can bring another page.
func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", a.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}
