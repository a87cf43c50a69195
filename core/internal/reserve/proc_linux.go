package reserve

import (
	"cmp"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func (s System) path(parts ...string) string {
	return filepath.Join(append([]string{cmp.Or(string(s), "/proc")}, parts...)...)
}

// fields are the lines of a file in the form "name: value" or "name value".
type fields map[string]string

func parse(b []byte) fields {
	f := make(fields)
	for line := range strings.Lines(string(b)) {
		if i := strings.IndexAny(line, " \t:"); i > 0 {
			f[line[:i]] = strings.TrimSpace(line[i+1:])
		}
	}
	return f
}

// first is the first word of a value. Of the uids it is the real one.
func (f fields) first(name string) string {
	word, _, _ := strings.Cut(strings.ReplaceAll(f[name], "\t", " "), " ")
	return word
}

// number is a value as a number, 0 if it is none or not there.
func (f fields) number(name string) uint64 {
	n, _ := strconv.ParseUint(f.first(name), 10, 64)
	return n
}

// kilobytes is a value with the unit kB, in bytes.
func (f fields) kilobytes(name string) uint64 { return f.number(name) << 10 }

// status is proc_pid_status(5) of a process. It is not proc.Status, which can take a thread.
func (s System) status(process string) (fields, error) {
	b, err := readFile(s.path(process, "status"))
	if err != nil {
		return nil, err
	}
	return parse(b), nil
}

// unlimited is the value of a limit that is none.
const unlimited = math.MaxUint64

// limit reads the value of a limit. The words are those of proc_pid_limits(5) and of control groups.
func limit(s string) (uint64, error) {
	if s = strings.TrimSpace(s); s == "max" || s == "unlimited" {
		return unlimited, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err == nil && n >= none {
		n = unlimited
	}
	return n, err
}

// none is about the value of a limit that is none in the first version of control groups: PAGE_COUNTER_MAX, the
// largest number of pages, in bytes.
const none = 1 << 62

// wrapError names the file.
func wrapError(op, path string, err error) error { return &os.PathError{Op: op, Path: path, Err: err} }
