//go:build unix

package spec_test

import (
	"slices"
	"testing"
)

// framework is what is tested: an adapter, or net/http with the core alone.
type framework struct {
	name string
	// methods are its run methods. The first is the one that the tests use which
	// are not about run methods.
	methods []method
}

// method is one way to serve an app.
type method struct {
	name  string
	kind  kind
	serve func(p *process) error // in the program

	env     []string // of the program; $port at an end is a free one
	fd      bool     // its socket is passed to it as descriptor 4
	says    []string // what each generation logs, once
	stops   []string // the program's own ways to stop, see process.stops
	slow    bool     // its server gets process.headerTimeout
	foreign bool     // its listener is from net.Listen: it can't be upgraded
}

var frameworks = []framework{
	nethttpFramework, ginFramework, echoFramework, echo5Framework, macaronFramework, chiFramework,
}

// eachFramework runs a test for every framework's first method.
func eachFramework(t *testing.T, test func(t *testing.T, f framework, m method)) {
	t.Helper()
	for _, f := range frameworks {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			test(t, f, f.methods[0])
		})
	}
}

// eachMethod runs a test for those of every framework's methods that are wanted.
func eachMethod(t *testing.T, wanted func(method) bool, test func(t *testing.T, f framework, m method)) {
	t.Helper()
	for _, f := range frameworks {
		for _, m := range f.methods {
			if wanted(m) {
				t.Run(f.name+"/"+m.name, func(t *testing.T) {
					t.Parallel()
					test(t, f, m)
				})
			}
		}
	}
}

// eachKind runs a test for the first of every framework's methods of each kind.
func eachKind(t *testing.T, test func(t *testing.T, f framework, m method)) {
	t.Helper()
	for _, f := range frameworks {
		var seen []kind
		for _, m := range f.methods {
			if m.foreign || slices.Contains(seen, m.kind) {
				continue
			}
			seen = append(seen, m.kind)
			t.Run(f.name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				test(t, f, m)
			})
		}
	}
}

// lookUp returns a method by framework and name.
func lookUp(program string) (framework, method, bool) {
	for _, f := range frameworks {
		for _, m := range f.methods {
			if f.name+"/"+m.name == program {
				return f, m, true
			}
		}
	}
	return framework{}, method{}, false
}
