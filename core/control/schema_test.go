package control

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// schemas is where the JSON of the command is documented. The tests of the command check what it prints against them.
const schemas = "../../docs/schema"

// recorded are the fields that were there once. Programs rely on them, so none goes away or changes its type. The flag
// -schema.update adds new ones. A line is taken out by hand, with an entry in the changelog.
const recorded = "testdata/json-fields.txt"

var update = flag.Bool("schema.update", false, "add new JSON fields to "+recorded)

// printed are the types that the command prints as JSON, as they are on the wire.
var printed = map[string]reflect.Type{
	"event.json":   reflect.TypeFor[wireEvent](),
	"outcome.json": reflect.TypeFor[wireOutcome](),
	"report.json":  reflect.TypeFor[wireReport](),
	"status.json":  reflect.TypeFor[Status](),
	"totals.json":  reflect.TypeFor[Totals](),
}

// TestSchemas_HaveTheFieldsOfTheTypes, with the same JSON types, required exactly if the type always writes them, and each
// with a description.
func TestSchemas_HaveTheFieldsOfTheTypes(t *testing.T) {
	t.Parallel()
	files := must.Get(filepath.Glob(filepath.Join(schemas, "*.json")))(t)
	if len(files) != len(printed) {
		t.Errorf("%q, want one for each of the %d types", files, len(printed))
	}
	for name, typ := range printed {
		want, got := map[string]string{}, map[string]string{}
		fieldsOf(t, typ, "", want)
		readSchema(t, name).fields("", true, got)
		for _, path := range slices.Sorted(maps.Keys(want)) {
			if got[path] != want[path] {
				t.Errorf("%s: %s is %q, and %q in the schema", name, path, want[path], cmp.Or(got[path], "nothing"))
			}
		}
		for path := range got {
			if want[path] == "" {
				t.Errorf("%s: nothing writes %s", name, path)
			}
		}
	}
}

// TestSchemas_FieldsStay: what a program has read from the JSON once, the next version writes, too. So it is with the
// values that it has compared with.
func TestSchemas_FieldsStay(t *testing.T) {
	t.Parallel()
	now := map[string]string{}
	for name, typ := range printed {
		fieldsOf(t, typ, strings.TrimSuffix(name, ".json"), now)
	}
	for word, values := range stringConstants(t) {
		for _, v := range values {
			now[strings.ToLower(word)+"="+v] = "value"
		}
	}
	before := map[string]string{}
	for line := range strings.Lines(string(must.Get(os.ReadFile(recorded))(t))) {
		path, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		if before[path] = what; now[path] != what {
			t.Errorf("%s was %q, and is %q: programs rely on it", path, what, cmp.Or(now[path], "nothing"))
		}
	}
	if *update {
		var lines []string
		maps.Copy(now, before) // nothing goes
		for path, what := range now {
			lines = append(lines, path+" "+what+"\n")
		}
		slices.Sort(lines)
		must.Do(t, os.WriteFile(recorded, []byte(strings.Join(lines, "")), 0o644))
		return
	}
	for _, path := range slices.Sorted(maps.Keys(now)) {
		if before[path] == "" {
			t.Errorf("%s is new: go test ./core/control -schema.update adds it to %s", path, recorded)
		}
	}
}

// TestSchemas_NameEachValue of what is a text with few values: the constants of this package.
func TestSchemas_NameEachValue(t *testing.T) {
	t.Parallel()
	constants := stringConstants(t)
	without := func(from []string, others ...string) []string {
		return slices.DeleteFunc(slices.Clone(from), func(s string) bool { return slices.Contains(others, s) })
	}
	kinds := without(constants["Kind"], KindStarted, KindUnknown) // these two are of a Report alone
	for _, tt := range []struct {
		file, path string
		want       []string
	}{
		{"event.json", "step", constants["Step"]},
		{"outcome.json", "kind", kinds},
		{"totals.json", "total.upgrades[].outcome", append(without(kinds, KindChecked), constants["Outcome"]...)},
		{"totals.json", "total.upgrades[].reason", append(without(constants["Reason"]), "")},
		{"totals.json", "total.moved[].protocol", without(constants["Protocol"], ProtocolTLS)},
		{"totals.json", "total.stayed[].protocol", []string{ProtocolHTTP2, ProtocolTLS}},
	} {
		got := readSchema(t, tt.file).at(tt.path).Examples
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) || len(got) < 2 {
			t.Errorf("%s: %s has the examples %q, want %q", tt.file, tt.path, got, tt.want)
		}
	}
	for _, kind := range []string{KindStarted, KindUnknown} {
		if !strings.Contains(readSchema(t, "report.json").Description, strconv.Quote(kind)) {
			t.Errorf("report.json does not name the kind %q", kind)
		}
	}
}

// fieldsOf notes the JSON type of each field, and whether it is always there. It wants to know each kind.
func fieldsOf(t *testing.T, typ reflect.Type, path string, into map[string]string) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ {
	case reflect.TypeFor[Event]():
		typ = reflect.TypeFor[wireEvent]()
	case reflect.TypeFor[Outcome]():
		typ = reflect.TypeFor[wireOutcome]()
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && tag == "" {
			fieldsOf(t, f.Type, path, into)
			continue
		}
		if tag == "-" {
			continue
		}
		if tag == "" {
			t.Errorf("%v has no name in JSON for %s", typ, f.Name)
		}
		noteField(t, f.Type, join(path, tag), options == "", into)
	}
}

func noteField(t *testing.T, typ reflect.Type, path string, always bool, into map[string]string) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	var what string
	switch k := typ.Kind(); {
	case typ == reflect.TypeFor[time.Time]():
		what = "string date-time"
	case typ == reflect.TypeFor[time.Duration]():
		t.Errorf("%s is a duration: the wire has milliseconds", path)
	case k == reflect.String:
		what = "string"
	case k == reflect.Bool:
		what = "boolean"
	case k == reflect.Float64:
		what = "number"
	case k == reflect.Int, k == reflect.Int64, k == reflect.Uint64:
		what = "integer"
	case k == reflect.Slice:
		what = "array"
		noteField(t, typ.Elem(), path+"[]", true, into)
	case k == reflect.Struct:
		what = "object"
		fieldsOf(t, typ, path, into)
	default:
		t.Errorf("%s is a %v", path, typ)
	}
	into[path] = presence(what, always)
}

func presence(what string, always bool) string {
	if always {
		return what + ", always"
	}
	return what + ", if known"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// schema is what the schemas here use of JSON Schema.
type schema struct {
	Draft       string             `json:"$schema"`
	ID          string             `json:"$id"`
	Title       string             `json:"title"`
	Description string             `json:"description"`
	Type        string             `json:"type"`
	Format      string             `json:"format"`
	Pattern     string             `json:"pattern"`
	Minimum     int                `json:"minimum"`
	Maximum     int                `json:"maximum"`
	Examples    []string           `json:"examples"`
	Required    []string           `json:"required"`
	Properties  map[string]*schema `json:"properties"`
	Items       *schema            `json:"items"`
	Ref         string             `json:"$ref"`
	AllOf       []*schema          `json:"allOf"`
	Defs        map[string]*schema `json:"$defs"`
}

// readSchema reads a file, and puts what is referred to into its place.
func readSchema(t *testing.T, name string) *schema {
	t.Helper()
	d := json.NewDecoder(must.Get(os.Open(filepath.Join(schemas, name)))(t))
	d.DisallowUnknownFields() // this test would not look at them
	s := new(schema)
	must.Do(t, d.Decode(s))
	if s.Draft != "https://json-schema.org/draft/2020-12/schema" || !strings.HasSuffix(s.ID, "/docs/schema/"+name) || s.Description == "" {
		t.Errorf("%s: draft %q, id %q, description %q", name, s.Draft, s.ID, s.Description)
	}
	s.resolve(t, s.Defs)
	return s
}

func (s *schema) resolve(t *testing.T, defs map[string]*schema) {
	t.Helper()
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		if defs[name] == nil {
			t.Fatalf("there is no %s", s.Ref)
		}
		described := s.Description
		*s = *defs[name]
		s.Description = cmp.Or(described, s.Description)
	} else if s.Ref != "" {
		described := s.Description
		*s = *readSchema(t, s.Ref)
		s.Description = cmp.Or(described, s.Description)
		return
	}
	if s.Items != nil {
		items := *s.Items
		s.Items = &items
		s.Items.resolve(t, defs)
	}
	properties := map[string]*schema{}
	for name, p := range s.Properties {
		one := *p
		properties[name] = &one
		properties[name].resolve(t, defs)
		if properties[name].Description == "" && properties[name].Type != "object" {
			t.Errorf("%s has no description", name)
		}
	}
	for _, more := range s.AllOf {
		more.resolve(t, defs)
		maps.Copy(properties, more.Properties)
		s.Required = slices.Concat(s.Required, more.Required)
	}
	s.Properties = properties
}

// fields notes what fieldsOf does.
func (s *schema) fields(path string, always bool, into map[string]string) {
	if path != "" {
		into[path] = presence(strings.TrimSpace(s.Type+" "+s.Format), always)
	}
	if s.Items != nil {
		s.Items.fields(path+"[]", true, into)
	}
	for name, p := range s.Properties {
		p.fields(join(path, name), slices.Contains(s.Required, name), into)
	}
}

// at is the schema of a field.
func (s *schema) at(path string) *schema {
	for name := range strings.SplitSeq(path, ".") {
		of, isList := strings.CutSuffix(name, "[]")
		if s = s.Properties[of]; s != nil && isList {
			s = s.Items
		}
		if s == nil {
			return new(schema)
		}
	}
	return s
}

// stringConstants are the values of this package's constants by the first word of their names.
func stringConstants(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, file := range must.Get(filepath.Glob("*.go"))(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, d := range must.Get(parser.ParseFile(token.NewFileSet(), file, nil, 0))(t).Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.CONST {
				continue
			}
			for _, spec := range gen.Specs {
				values := spec.(*ast.ValueSpec)
				for i, value := range values.Values {
					lit, ok := value.(*ast.BasicLit)
					if !ok || lit.Kind != token.STRING {
						continue
					}
					for _, word := range []string{"Step", "Kind", "Outcome", "Reason", "Protocol"} {
						if strings.HasPrefix(values.Names[i].Name, word) {
							all[word] = append(all[word], must.Get(strconv.Unquote(lit.Value))(t))
						}
					}
				}
			}
		}
	}
	if len(all) != 5 {
		t.Fatal(fmt.Sprint(all))
	}
	return all
}
