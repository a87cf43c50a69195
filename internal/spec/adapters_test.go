package spec_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// To know one adapter is to know all: an adapter is thin, has the same names as the others, explains each of its names,
// and is run by the tests here.
func TestAdapters(t *testing.T) {
	t.Parallel()
	const maxLines = 200
	shared := []string{"DefaultLivePath", "DefaultReadyPath", "ReadinessConfig", "Readiness"}
	tests := ""
	// What runs over HTTP has the tests here, and gRPC those of its example.
	for _, name := range slices.Concat(glob(t, "*_unix_test.go"), glob(t, "../../examples/grpc/*_unix_test.go")) {
		tests += read(t, name)
	}
	// The directories of the adapters' modules are those that end in x, and the major versions in them. Those of metrics
	// and traces run nothing.
	others := []string{"promx", "otelx"}
	mods := slices.DeleteFunc(slices.Concat(glob(t, "../../*x/go.mod"), glob(t, "../../*x/v*/go.mod")), func(mod string) bool {
		return slices.Contains(others, filepath.Base(filepath.Dir(mod)))
	})
	if len(mods) == 0 {
		t.Fatal("no adapter found")
	}
	for _, mod := range mods {
		dir := filepath.Dir(mod)
		t.Run(strings.TrimPrefix(filepath.ToSlash(dir), "../../"), func(t *testing.T) {
			t.Parallel()
			read(t, filepath.Join(dir, "README.md"))
			module, _, _ := strings.Cut(read(t, mod), "\n")
			if path := strings.TrimSpace(strings.TrimPrefix(module, "module ")); !strings.Contains(tests, `"`+path+`"`) {
				t.Errorf("no test imports %s", path)
			}
			fset, explained := token.NewFileSet(), false
			var names []string
			for _, name := range glob(t, filepath.Join(dir, "*.go")) {
				if strings.HasSuffix(name, "_test.go") {
					continue
				}
				f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
				must(t, err)
				if n := fset.File(f.Pos()).LineCount(); n >= maxLines {
					t.Errorf("%s has %d lines, want less than %d", name, n, maxLines)
				}
				explained = explained || f.Doc.Text() != ""
				declared := exported(t, f)
				if filepath.Base(name) == "readiness.go" {
					names = declared
				}
			}
			want := shared
			if filepath.Base(dir) == "grpcx" { // no paths, and no requests to leave alone
				want = []string{"Readiness"}
			}
			if !slices.Equal(names, want) {
				t.Errorf("readiness.go declares %v, want %v", names, want)
			}
			if !explained {
				t.Error("the package has no comment")
			}
		})
	}
}

// exported lists the exported names that a file declares, in their order, and checks that each of them, and each of
// their fields and methods, has a comment.
func exported(t *testing.T, f *ast.File) (names []string) {
	t.Helper()
	explain := func(name string, comments ...*ast.CommentGroup) {
		t.Helper()
		if !slices.ContainsFunc(comments, func(c *ast.CommentGroup) bool { return c.Text() != "" }) {
			t.Errorf("%s has no comment", name)
		}
	}
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			name := decl.Name.Name
			if decl.Recv != nil {
				name = strings.TrimPrefix(types.ExprString(decl.Recv.List[0].Type), "*") + "." + name
			}
			if ast.IsExported(name) && decl.Name.IsExported() {
				explain(name, decl.Doc)
				if decl.Recv == nil {
					names = append(names, name)
				}
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() {
						names = append(names, spec.Name.Name)
						explain(spec.Name.Name, decl.Doc, spec.Doc)
					}
					if s, ok := spec.Type.(*ast.StructType); ok && spec.Name.IsExported() {
						for _, field := range s.Fields.List {
							for _, id := range field.Names { // none: an embedded type explains itself
								if id.IsExported() {
									explain(spec.Name.Name+"."+id.Name, field.Doc, field.Comment)
								}
							}
						}
					}
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						if id.IsExported() {
							names = append(names, id.Name)
							explain(id.Name, decl.Doc, spec.Doc, spec.Comment)
						}
					}
				}
			}
		}
	}
	return names
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	must(t, err)
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return string(text)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
