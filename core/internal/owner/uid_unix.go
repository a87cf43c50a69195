//go:build unix

package owner

import "io/fs"

func uidOf(fi fs.FileInfo) (uid int, known bool) {
	uid, _ = ids(fi)
	return uid, uid >= 0
}
