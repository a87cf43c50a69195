// Command hello says hello.
package main

import "os"

func main() { _, _ = os.Stdout.WriteString("hello\n") }
