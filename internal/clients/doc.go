// Package clients has HTTP/2 clients of other projects, and of this one, that ask a server which is upgraded again and
// again. Each counts what fails, what the server refuses and how often it connects.
package clients
