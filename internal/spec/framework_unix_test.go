//go:build unix

package spec_test

import (
	"slices"
	"testing"
)

// framework is what is tested: an adapter, or net/http with the core alone.
type framework struct {
	name string
	// methods are its run methods. The first is the one that the tests use which are not about run methods.
	methods []method
}

// method is one way to serve an app.
type method struct {
	name  string
	kind  kind
	serve func(p *process) error // in the program

	env     []string // of the program; in it $host and $port are those of a free address
	fd      bool     // its socket is passed to it as descriptor 4
	says    []string // what each generation logs, once
	stops   []string // the program's own ways to stop, see process.stops
	slow    bool     // its server gets process.headerTimeout
	foreign bool     // its listener is from net.Listen: it can't be upgraded
	hijacks bool     // a handler speaks HTTP/2 on connections that it takes over

	program     string // framework/name
	first       bool   // of its framework
	firstOfKind bool   // of its framework's
}

// methods are the run methods of all frameworks.
var methods = func() (all []method) {
	for _, f := range []framework{
		nethttpFramework, ginFramework, echoFramework, echo5Framework, macaronFramework, chiFramework, h2cFramework,
	} {
		for i, m := range f.methods {
			m.program, m.first = f.name+"/"+m.name, i == 0
			sameKind := func(o method) bool { return !o.foreign && o.kind == m.kind }
			m.firstOfKind = !m.foreign && !slices.ContainsFunc(f.methods[:i], sameKind)
			all = append(all, m)
		}
	}
	return all
}()

// each runs a test for those methods that are wanted.
func each(t *testing.T, wanted func(method) bool, test func(t *testing.T, m method)) {
	t.Helper()
	for _, m := range methods {
		if wanted(m) {
			t.Run(m.program, func(t *testing.T) {
				t.Parallel()
				test(t, m)
			})
		}
	}
}

func first(m method) bool       { return m.first && !m.hijacks }
func firstOfKind(m method) bool { return m.firstOfKind && !m.hijacks }
func upgradable(m method) bool  { return !m.foreign && !m.hijacks }
