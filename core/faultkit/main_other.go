//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "faultkit: it needs Linux: it looks into /proc, and moves limits of other processes")
	os.Exit(2)
}
