// Package must ends a test at an error that the test is not about.
package must

import "testing"

// Do ends the test if err is not nil.
func Do(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Get takes the results of a call, and returns the first one unless the second one is an error, as in
//
//	ln := must.Get(net.Listen("tcp", addr))(t)
func Get[T any](v T, err error) func(tb testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		Do(tb, err)
		return v
	}
}
