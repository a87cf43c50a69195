//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "benchkit: it needs Linux: it reads processor time and memory of other processes from /proc")
	os.Exit(2)
}
