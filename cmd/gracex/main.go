// Command gracex shows, upgrades and stops a running gracex app, and says by its exit
// status what became of it.
//
//	gracex status
//	gracex upgrade && echo deployed
//	gracex run -- ./app -addr :8080
//
// docs/cli.md in the repository is its page.
package main

import "os"

func main() {
	os.Exit(execute(os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
