// Package deploytest is what the tests of the deployments share: it builds the
// nethttp example, asks it and loads it, and starts programs as pid 1 of a
// namespace.
package deploytest
