package spec_test

import (
	"bytes"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// adapters are the directories of the adapters' modules: those that end in x, and
// the major versions in them.
func adapters(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for _, pattern := range []string{"../../*x/go.mod", "../../*x/v*/go.mod"} {
		mods, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, mod := range mods {
			dirs = append(dirs, filepath.Dir(mod))
		}
	}
	if len(dirs) == 0 {
		t.Fatal("no adapter found")
	}
	return dirs
}

func eachAdapter(t *testing.T, test func(t *testing.T, dir string)) {
	t.Helper()
	for _, dir := range adapters(t) {
		t.Run(strings.TrimPrefix(filepath.ToSlash(dir), "../../"), func(t *testing.T) {
			t.Parallel()
			test(t, dir)
		})
	}
}

// code is an adapter's files but for its tests, by their names.
func code(t *testing.T, dir string) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset, files := token.NewFileSet(), map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = f
	}
	return fset, files
}

// To know one adapter is to know all.
func TestAdaptersShareNames(t *testing.T) {
	t.Parallel()
	want := []string{"DefaultLivePath", "DefaultReadyPath", "ReadinessConfig", "Readiness"}
	eachAdapter(t, func(t *testing.T, dir string) {
		_, files := code(t, dir)
		f := files["readiness.go"]
		if f == nil {
			t.Fatal("no readiness.go")
		}
		if got := exported(f); !slices.Equal(got, want) {
			t.Errorf("readiness.go declares %v, want %v", got, want)
		}
	})
}

// exported lists the exported names that a file declares, in their order.
func exported(f *ast.File) (names []string) {
	add := func(ids ...*ast.Ident) {
		for _, id := range ids {
			if id.IsExported() {
				names = append(names, id.Name)
			}
		}
	}
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil {
				add(decl.Name)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name)
				case *ast.ValueSpec:
					add(spec.Names...)
				}
			}
		}
	}
	return names
}

func TestAdaptersAreDocumented(t *testing.T) {
	t.Parallel()
	eachAdapter(t, func(t *testing.T, dir string) {
		fset, byName := code(t, dir)
		var files []*ast.File
		for _, f := range byName {
			files = append(files, f)
		}
		pkg, err := doc.NewFromFiles(fset, files, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range undocumented(pkg) {
			t.Errorf("%s has no comment", name)
		}
		if _, err := os.Stat(filepath.Join(dir, "README.md")); err != nil {
			t.Error(err)
		}
	})
}

// undocumented lists what godoc shows without a word.
func undocumented(pkg *doc.Package) (names []string) {
	note := func(name, comment string) {
		if comment == "" {
			names = append(names, name)
		}
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			note(strings.Join(v.Names, ", "), v.Doc)
		}
	}
	funcs := func(list []*doc.Func) {
		for _, f := range list {
			note(strings.TrimPrefix(f.Recv+"."+f.Name, "."), f.Doc)
		}
	}
	note("package "+pkg.Name, pkg.Doc)
	values(pkg.Consts)
	values(pkg.Vars)
	funcs(pkg.Funcs)
	for _, typ := range pkg.Types {
		note(typ.Name, typ.Doc)
		values(typ.Consts)
		values(typ.Vars)
		funcs(typ.Funcs)
		funcs(typ.Methods)
		for _, field := range fields(typ) {
			for _, id := range field.Names { // none: an embedded type explains itself
				note(typ.Name+"."+id.Name, field.Doc.Text()+field.Comment.Text())
			}
		}
	}
	return names
}

// fields are the exported ones of a struct: go/doc leaves no others.
func fields(typ *doc.Type) []*ast.Field {
	if s, ok := typ.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType); ok {
		return s.Fields.List
	}
	return nil
}

// An adapter is thin.
func TestAdaptersAreThin(t *testing.T) {
	t.Parallel()
	const limit = 200
	eachAdapter(t, func(t *testing.T, dir string) {
		fset, files := code(t, dir)
		for name, f := range files {
			if n := fset.File(f.Pos()).LineCount(); n >= limit {
				t.Errorf("%s has %d lines, want less than %d", name, n, limit)
			}
		}
	})
}

// Every adapter is run here: a new one has to be.
func TestAdaptersAreSpecified(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*_unix_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests []byte
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests = append(tests, text...)
	}
	eachAdapter(t, func(t *testing.T, dir string) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(mod), "\n")
		path := strings.TrimSpace(strings.TrimPrefix(line, "module "))
		if !bytes.Contains(tests, []byte(`"`+path+`"`)) {
			t.Errorf("no test imports %s", path)
		}
	})
}
