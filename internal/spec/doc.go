// Package spec holds what is promised for every adapter, and for net/http alone, as tests: each serves an app with
// the same surface in real processes, by each of its run methods, and is upgraded and stopped while clients that
// never retry ask for everything.
package spec
