// Package container is a deployment and has no code: the nethttp example in a
// container, and a test that runs it as pid 1.
package container
