package logkeys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

const module = "github.com/gracex-go/gracex/"

// use is one attribute in the source.
type use struct {
	key, kind string
	at        token.Position
	raw       bool   // the value is a time.Duration itself
	pkg       string // the path of the package, without that of the module
}

// uses are all attributes that are logged by the packages of the workspace which users get.
func uses(t *testing.T) (all []use) {
	t.Helper()
	packages := list(t)
	export := map[string]string{}
	for _, p := range packages {
		export[p.ImportPath] = p.Export
	}
	fset := token.NewFileSet()
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(export[path]) }
	imports := importer.ForCompiler(fset, "gc", lookup)
	for _, p := range packages {
		if !p.ours() || !p.imports("log/slog") {
			continue
		}
		s := &source{fset: fset, pkg: strings.TrimPrefix(p.ImportPath, module), info: &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{},
		}}
		for _, name := range p.GoFiles {
			s.files = append(s.files, must.Get(parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution))(t))
		}
		config := types.Config{Importer: mapped{imports, p.ImportMap}}
		_ = must.Get(config.Check(p.ImportPath, fset, s.files, s.info))(t)
		all = append(all, s.attributes()...)
	}
	return all
}

// listed is what "go list" says of a package.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles, Imports        []string
	ImportMap               map[string]string
}

// list asks for the packages of all modules of the workspace, and for those that they import.
func list(t *testing.T) (all []listed) {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,Imports,ImportMap", "work")
	cmd.Dir = "../.."
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &errs)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// notOurs are packages of the workspace that no user's program has in it.
var notOurs = regexp.MustCompile(`^(examples|internal|core/faultkit|core/benchkit)(/|$)`)

func (p listed) ours() bool {
	path, ok := strings.CutPrefix(p.ImportPath, module)
	return ok && !notOurs.MatchString(path)
}

// imports reports whether the package has this one among its own, or can get a logger by one of ours.
func (p listed) imports(path string) bool {
	for _, i := range p.Imports {
		if i == path || strings.HasPrefix(i, module) {
			return true
		}
	}
	return false
}

// mapped is an importer for a package that has others of the standard library's under another path.
type mapped struct {
	types.Importer
	paths map[string]string
}

func (m mapped) Import(path string) (*types.Package, error) {
	if to := m.paths[path]; to != "" {
		path = to
	}
	return m.Importer.Import(path)
}

// source is a package.
type source struct {
	fset  *token.FileSet
	pkg   string
	info  *types.Info
	files []*ast.File

	passed map[types.Object]int // functions that pass their last parameters to a logger, and where these begin
	found  []use
}

// attributes finds the keys and values in calls of a logger, of functions that pass them on, and in lists that are
// collected for one.
func (s *source) attributes() []use {
	s.findPassing()
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				s.call(n)
			case *ast.CompositeLit:
				if isAnys(s.info.TypeOf(n)) {
					s.collected(n.Elts)
				}
			}
			return true
		})
	}
	return s.found
}

// findPassing finds functions like "func (x) warn(text string, args ...any) { x.log.Warn(text, args...) }", also those
// that call another one of these.
func (s *source) findPassing() {
	s.passed = map[types.Object]int{}
	for again := true; again; {
		again = false
		for _, f := range s.files {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				obj := s.info.Defs[fn.Name]
				sig := obj.Type().(*types.Signature)
				if _, known := s.passed[obj]; known || !sig.Variadic() {
					continue
				}
				last := sig.Params().At(sig.Params().Len() - 1)
				ast.Inspect(fn.Body, func(n ast.Node) bool {
					call, ok := n.(*ast.CallExpr)
					if !ok || !call.Ellipsis.IsValid() || s.argsAt(call) < 0 {
						return true
					}
					if id, ok := call.Args[len(call.Args)-1].(*ast.Ident); ok && s.info.Uses[id] == last {
						s.passed[obj], again = sig.Params().Len()-1, true
					}
					return true
				})
			}
		}
	}
}

// The methods of slog.Logger and functions of slog that take keys and values, and where these begin.
var loggers = map[string]int{
	"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "With": 0, "Log": 3, "Group": 1,
	"DebugContext": 2, "InfoContext": 2, "WarnContext": 2, "ErrorContext": 2, "LogAttrs": 3,
}

// argsAt is where the keys and values begin in a call; -1 if it has none.
func (s *source) argsAt(call *ast.CallExpr) int {
	obj := s.callee(call)
	if obj == nil {
		return -1
	}
	if at, ok := s.passed[obj]; ok {
		return at
	}
	at, ok := loggers[obj.Name()]
	if !ok || obj.Pkg() == nil || obj.Pkg().Path() != "log/slog" {
		return -1
	}
	if of := obj.Type().(*types.Signature).Recv(); of != nil && of.Type().String() != "*log/slog.Logger" {
		return -1
	}
	return at
}

func (s *source) callee(call *ast.CallExpr) types.Object {
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.SelectorExpr:
		return s.info.Uses[fun.Sel]
	case *ast.Ident:
		return s.info.Uses[fun]
	}
	return nil
}

// constructors make an attribute of a key and a value.
var constructors = regexp.MustCompile(`^(String|Int|Int64|Uint64|Float64|Bool|Time|Duration|Any)$`)

func (s *source) call(call *ast.CallExpr) {
	obj := s.callee(call)
	switch {
	case obj == nil:
	case obj.Pkg() == nil && obj.Name() == "append" && isAnys(s.info.TypeOf(call.Args[0])):
		s.collected(call.Args[1:])
	case obj.Pkg() == nil:
	case obj.Pkg().Path() == "log/slog" && constructors.MatchString(obj.Name()) && len(call.Args) == 2:
		s.note(call.Args[0], call.Args[1])
	case obj.Pkg().Path() == "log/slog" && obj.Name() == "Group" && s.argsAt(call) == 1:
		if key, ok := s.text(call.Args[0]); ok {
			s.found = append(s.found, use{key: key, kind: "group", at: s.fset.Position(call.Pos()), pkg: s.pkg})
		}
	}
	if at := s.argsAt(call); at >= 0 && !call.Ellipsis.IsValid() {
		s.pairs(call.Args[min(at, len(call.Args)):])
	}
}

// pairs are keys and values in turn, or attributes, which call finds.
func (s *source) pairs(args []ast.Expr) {
	for i := 0; i < len(args); i++ {
		if isNamed(s.info.TypeOf(args[i]), "log/slog", "Attr") || i+1 == len(args) {
			continue
		}
		s.note(args[i], args[i+1])
		i++
	}
}

var looksLikeKey = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// collected are the elements of a list of any, which are pairs if they look like some.
func (s *source) collected(args []ast.Expr) {
	if len(args) == 0 || len(args)%2 != 0 {
		return
	}
	for i := 0; i < len(args); i += 2 {
		if key, ok := s.text(args[i]); !ok || !looksLikeKey.MatchString(key) {
			return
		}
	}
	s.pairs(args)
}

func (s *source) note(key, value ast.Expr) {
	u := use{kind: s.kind(value), at: s.fset.Position(key.Pos()), raw: isNamed(s.info.TypeOf(value), "time", "Duration"), pkg: s.pkg}
	var ok bool
	if u.key, ok = s.text(key); !ok {
		u.key = "a key that is no constant"
	}
	s.found = append(s.found, u)
}

// text is the value of a constant.
func (s *source) text(e ast.Expr) (string, bool) {
	v := s.info.Types[e].Value
	if v == nil || v.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(v), true
}

// kind is what a handler makes of a value: of the same key it has to be the same.
func (s *source) kind(e ast.Expr) string {
	typ := s.info.TypeOf(e)
	if call, ok := ast.Unparen(e).(*ast.CallExpr); ok {
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "String" && isNamed(s.info.TypeOf(sel.X), "time", "Duration") {
			return "duration"
		}
	}
	if isNamed(typ, "time", "Duration") {
		return "duration"
	}
	if types.Implements(typ, errorType) {
		return "error"
	}
	if has(typ, "LogValue") {
		return "group"
	}
	if _, isList := typ.Underlying().(*types.Slice); has(typ, "MarshalText") && !isList {
		return "text"
	}
	switch under := typ.Underlying().(type) {
	case *types.Basic:
		switch info := under.Info(); {
		case has(typ, "String"):
			return fmt.Sprintf("%v, which is a text for one handler and a number for another", typ)
		case info&types.IsString != 0:
			return "text"
		case info&types.IsBoolean != 0:
			return "yes or no"
		case info&types.IsNumeric != 0:
			return "number"
		}
	case *types.Slice:
		switch b, _ := under.Elem().Underlying().(*types.Basic); {
		case b == nil:
		case b.Info()&types.IsString != 0:
			return "list of texts"
		case b.Info()&types.IsNumeric != 0:
			return "list of numbers"
		}
	}
	return fmt.Sprintf("%v, which each handler writes as it likes", typ)
}

var errorType = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

// has reports whether a type has a method.
func has(typ types.Type, method string) bool {
	obj, _, _ := types.LookupFieldOrMethod(typ, true, nil, method)
	_, ok := obj.(*types.Func)
	return ok
}

func isNamed(typ types.Type, pkg, name string) bool {
	named, ok := types.Unalias(typ).(*types.Named)
	return ok && named.Obj().Name() == name && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == pkg
}

// isAnys reports whether it is a list of any.
func isAnys(typ types.Type) bool {
	if typ == nil {
		return false
	}
	list, ok := typ.Underlying().(*types.Slice)
	if !ok {
		return false
	}
	of, ok := list.Elem().Underlying().(*types.Interface)
	return ok && of.Empty()
}
