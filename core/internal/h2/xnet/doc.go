// Package xnet compares, as tests, what package h2 reads from a connection with what golang.org/x/net reads from it. Core
// requires no golang.org/x/net, so this is a module of its own.
package xnet
