// Package systemd is a deployment and has no code: the nethttp example as a service of
// systemd, and a test of that with a real one.
package systemd
