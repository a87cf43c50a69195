//go:build !unix

package program

import "io/fs"

func owner(fs.FileInfo) string { return "" }
