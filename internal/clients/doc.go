// Package clients has clients of other projects, and of this one, of HTTP/2 above all, that ask a server which is upgraded
// again and again. Each counts what fails, what the server refuses and how often it connects.
package clients
