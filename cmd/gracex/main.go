// Command gracex shows, upgrades and stops a running gracex app, and reports the outcome by its exit status.
//
//	gracex status
//	gracex upgrade && echo deployed
//	gracex run -- ./app -addr :8080
//
// docs/cli.md in the repository describes it.
package main

import "os"

func main() {
	os.Exit(execute(os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
