package program

import (
	"bufio"
	"io"
	"os"
	"strings"
)

// Interpreter returns the program that a script's first line names, or "" if the file is no script.
func Interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	r := bufio.NewReader(io.LimitReader(f, 4096))
	if b, err := r.Peek(2); err != nil || string(b) != "#!" {
		return ""
	}
	line, _ := r.ReadString('\n')
	// Not TrimSpace: a line that ends as on Windows names a file that does not exist.
	line = strings.Trim(line[2:], " \t\n")
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		line = line[:i]
	}
	return line
}
