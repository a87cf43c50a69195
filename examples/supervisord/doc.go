// Package supervisord is a deployment and has no code: the nethttp example under
// supervisord, and a test of that with a real one.
package supervisord
