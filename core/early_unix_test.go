//go:build unix

package core_test

import (
	"os"
	"testing"

	_ "github.com/gracex-go/gracex/internal/earlytest"
)

// startEarly starts the app with packages that do what the words say before core is initialized.
func startEarly(t *testing.T, argv0, words string, args ...string) (a *app, first event) {
	t.Helper()
	a = prepare(t)
	must(t, os.Mkdir(a.path("bin"), 0o755))
	install(t, a.path(argv0))
	a.write(".env", "APP_COLOR=one")
	a.env = []string{"EARLY_TEST=" + words}
	a.start("app", argv0, args...)
	return a, a.expect("ready", 0)
}

// TestEarly_EnvironmentIsLoadedAnew by a package that is initialized before core, and lets what is set win.
func TestEarly_EnvironmentIsLoadedAnew(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a, first := startEarly(t, "bin/app", "dotenv")
	a.write(".env", "APP_COLOR=two")
	second := a.next(first)
	a.endsWell(0)
	a.write(".env", "APP_COLOR=three")
	third := a.next(second)
	expectStart(t, first, "one")
	expectStart(t, second, "two")
	expectStart(t, third, "three")
	a.stopAll(third.PID)
}

// TestEarly_ArgumentsAndDirectoryAreThoseOfTheStart although a package takes some out before core is initialized, and the program
// is found although another one changes the working directory.
func TestEarly_ArgumentsAndDirectoryAreThoseOfTheStart(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a, first := startEarly(t, "bin/app", "args chdir", "-version=v1", "-drain=20s")
	second := a.next(first)
	a.endsWell(0)
	third := a.next(second)
	for _, ev := range []event{first, second, third} {
		expectStart(t, ev, "", "-version=v1")
	}
	a.stopAll(third.PID)
}
