// Tiny is a program for the tests that run no app. They change the texts of behaviour and build in the file, so that it
// is built once.
package main

import "os"

var (
	behaviour = "gracex-test-behaviour:good....."
	build     = "gracex-test-build:0000"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "wait" {
		_, _ = os.Stdin.Read(make([]byte, 1))
	}
	if len(os.Args) == 2 && os.Args[1] == "-check-config" {
		_, _ = os.Stdout.WriteString("config of " + build + " as " + digits(os.Getuid()) + "\n")
		if behaviour[22:29] == "badconf" {
			os.Exit(3)
		}
	}
}

func digits(n int) (s string) {
	for ; n > 0; n /= 10 {
		s = string(rune('0'+n%10)) + s
	}
	return s
}
