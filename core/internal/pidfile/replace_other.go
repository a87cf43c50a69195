//go:build !unix

package pidfile

import "io/fs"

const noWait = 0

// inTheWay would say what keeps a rename from replacing a file; here the system can't be asked.
func inTheWay(string, string, fs.FileInfo) string { return "" }
