// Package deploytest is what the tests of the deployments share: it asks the nethttp example and loads it,
// and starts programs as pid 1 of a namespace.
package deploytest
