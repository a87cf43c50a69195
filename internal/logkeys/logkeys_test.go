package logkeys

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// source of all tests here, read once.
var (
	once  sync.Once
	found []use
)

func logged(t *testing.T) []use {
	t.Helper()
	once.Do(func() { found = uses(t) })
	if len(found) < 100 {
		t.Fatalf("%d attributes: the test looks in the wrong place", len(found))
	}
	return found
}

// readable is the package that makes any attribute readable, and so knows none.
const readable = "core/internal/logging"

// TestKeys_AreOneThing each: a key has the same kind of value wherever it is logged, so that a log can be searched by it.
func TestKeys_AreOneThing(t *testing.T) {
	t.Parallel()
	first := map[string]use{}
	for _, u := range logged(t) {
		switch was, known := first[u.key]; {
		case u.pkg == readable:
		case !looksLikeKey.MatchString(u.key):
			t.Errorf("%v: the key is %q", u.at, u.key)
		case !slices.Contains(kinds, u.kind):
			t.Errorf("%v: %s is %s", u.at, u.key, u.kind)
		case !known:
			first[u.key] = u
		case was.kind != u.kind:
			t.Errorf("%v: %s is %s, and %s at %v", u.at, u.key, u.kind, was.kind, was.at)
		}
	}
}

// kinds are those that each handler writes in the same way. A duration is a text with its unit.
var kinds = []string{"text", "number", "yes or no", "duration", "error", "list of texts", "list of numbers", "group"}

// madeReadable are the packages whose loggers have gone through logging.Readable. There a value can be a time.Duration,
// which slog.JSONHandler would write as a number of nanoseconds.
var madeReadable = regexp.MustCompile(`^core(/supervise|/wsmove|/internal/.*)?$`)

// TestDurations_AreTexts on their way to a handler.
func TestDurations_AreTexts(t *testing.T) {
	t.Parallel()
	some := false
	for _, u := range logged(t) {
		some = some || u.raw
		if u.raw && !madeReadable.MatchString(u.pkg) {
			t.Errorf("%v: %s is a number for a JSON handler: log its String", u.at, u.key)
		}
	}
	if !some {
		t.Error("there is none: the test does not see them")
	}
	// The packages that get a logger from the program.
	for file, line := range map[string]string{
		"core/upgrader.go":            "u.log = logging.Readable(u.cfg.log)",
		"core/supervise/supervise.go": "c.Log = logging.Readable(c.Log)",
		"core/wsmove/options.go":      "m.log = logging.Readable(l)",
	} {
		if !strings.Contains(string(must.Get(os.ReadFile("../../"+file))(t)), line) {
			t.Errorf("%s: nothing of %q", file, line)
		}
	}
}

// TestPage_HasEachKey with its kind, and no other one: docs/logging.md.
func TestPage_HasEachKey(t *testing.T) {
	t.Parallel()
	used := map[string]string{}
	for _, u := range logged(t) {
		if u.pkg != readable {
			used[u.key] = u.kind
		}
	}
	page := string(must.Get(os.ReadFile("../../docs/logging.md"))(t))
	documented := map[string]string{}
	for line := range strings.Lines(page) {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || !slices.Contains(kinds, cells[1]) {
			continue
		}
		for _, key := range backticked.FindAllStringSubmatch(cells[0], -1) {
			if documented[key[1]] != "" {
				t.Errorf("%s is there twice", key[1])
			}
			documented[key[1]] = cells[1]
		}
	}
	for _, key := range slices.Sorted(maps.Keys(used)) {
		if documented[key] != used[key] {
			t.Errorf("%s is %s, and on the page %q", key, used[key], documented[key])
		}
	}
	for key := range documented {
		if used[key] == "" {
			t.Errorf("nothing logs %s", key)
		}
	}
}

var backticked = regexp.MustCompile("`([a-z0-9_]+)`")
