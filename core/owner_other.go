//go:build !unix

package core

import "io/fs"

func owner(fs.FileInfo) string { return "" }
