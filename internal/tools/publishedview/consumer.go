package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/internal/tools/workspace"
)

// frameworks are the module paths, without their major version, of what the
// adapters adapt. A user of one adapter must not be made to list another's.
var frameworks = []string{
	"github.com/gin-gonic/gin",
	"github.com/go-chi/chi",
	"github.com/labstack/echo",
	"gopkg.in/macaron",
}

// consumerEnv is the environment of somebody who has none of this repository:
// no go.work, no settings, and a module cache of its own, because a shared one
// would go on serving what an earlier run packed under the same version. Other
// modules are taken from the user's module cache first, then from the proxy.
func consumerEnv(ctx context.Context, ws *workspace.Workspace, p proxy, tmp string) ([]string, error) {
	out, err := workspace.Go(ctx, ws.Dir, nil, "env", "-json", "GOPROXY", "GOMODCACHE", "GOCACHE", "GOTOOLCHAIN", "GOSUMDB")
	if err != nil {
		return nil, err
	}
	var user struct{ GOPROXY, GOMODCACHE, GOCACHE, GOTOOLCHAIN, GOSUMDB string }
	if err := json.Unmarshal(out, &user); err != nil {
		return nil, err
	}
	proxies := []string{p.url(), fileURL(filepath.Join(user.GOMODCACHE, "cache", "download"))}
	for name := range strings.SplitSeq(user.GOPROXY, ",") {
		// "direct" would have git look for a repository behind every prefix
		// of a module path, and everything that is needed is on a proxy.
		if name != "direct" {
			proxies = append(proxies, name)
		}
	}
	own := make([]string, 0, len(ws.Modules))
	for _, m := range ws.Modules {
		own = append(own, m.Path)
	}
	return []string{
		"GOENV=off",
		"GOWORK=off",
		"GO111MODULE=",
		// -trimpath: with it the build cache does not depend on where the
		// module cache is. -modcacherw: so that the directory can be removed.
		"GOFLAGS=-trimpath -modcacherw",
		"GOPROXY=" + strings.Join(proxies, ","),
		"GOPRIVATE=",
		"GONOPROXY=",
		"GONOSUMDB=" + strings.Join(own, ","), // not released: no checksum database knows them
		"GOSUMDB=" + user.GOSUMDB,
		"GOTOOLCHAIN=" + user.GOTOOLCHAIN,
		"GOCACHE=" + user.GOCACHE,
		"GOMODCACHE=" + filepath.Join(tmp, "modcache"),
		"GOBIN=" + filepath.Join(tmp, "bin"),
	}, nil
}

// A consumer is somebody's program that needs one of the modules.
type consumer struct {
	ws      *workspace.Workspace
	module  workspace.Module
	version string
	env     []string
	tmp     string
	done    []string // what was found in order, for the report
}

func (c *consumer) check(ctx context.Context) error {
	libraries, commands, err := c.packages(ctx)
	if err != nil {
		return err
	}
	if internal(c.module.Path) {
		c.done = append(c.done, "internal: nobody gets it")
		return nil
	}
	if len(libraries)+len(commands) == 0 {
		return errors.New("it has no public package")
	}
	if len(libraries) > 0 {
		if err := c.importAll(ctx, libraries); err != nil {
			return err
		}
	}
	if len(commands) > 0 {
		if err := c.buildAll(ctx, commands); err != nil {
			return err
		}
		return c.installAll(ctx, commands)
	}
	return nil
}

// packages lists the module's packages that anybody may use.
func (c *consumer) packages(ctx context.Context) (libraries, commands []string, err error) {
	out, err := workspace.Go(ctx, c.module.Dir, nil, "list", "-f", "{{if .GoFiles}}{{.Name}} {{.ImportPath}}{{end}}", "./...")
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(string(out)) {
		name, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case path == "": // only tests
		case internal(path):
		case name == "main":
			commands = append(commands, path)
		default:
			libraries = append(libraries, path)
		}
	}
	return libraries, commands, nil
}

// internal reports whether a path is nobody else's to import.
func internal(path string) bool { return slices.Contains(strings.Split(path, "/"), "internal") }

// importAll builds a program that imports the module's libraries, and looks at
// what its go.mod lists after "go mod tidy".
func (c *consumer) importAll(ctx context.Context, libraries []string) error {
	var src strings.Builder
	src.WriteString("package main\n\n")
	for _, path := range libraries {
		fmt.Fprintf(&src, "import _ %q\n", path)
	}
	src.WriteString("\nfunc main() {}\n")

	dir, err := c.program(src.String())
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"get", c.module.Path + "@" + c.version},
		{"mod", "tidy"},
		{"build", "-o", os.DevNull, "."},
	} {
		if _, err := workspace.Go(ctx, dir, c.env, args...); err != nil {
			return err
		}
	}
	requires, err := c.thirdParty(ctx, dir)
	if err != nil {
		return err
	}
	c.done = append(c.done, fmt.Sprintf("packages imported: %d, which require %s", len(libraries), requires))
	return nil
}

// thirdParty judges the requirements that the module brought into the go.mod
// of the program in dir.
func (c *consumer) thirdParty(ctx context.Context, dir string) (string, error) {
	out, err := workspace.Go(ctx, dir, c.env, "mod", "edit", "-json")
	if err != nil {
		return "", err
	}
	var mod struct{ Require []workspace.Requirement }
	if err := json.Unmarshal(out, &mod); err != nil {
		return "", err
	}
	return judge(c.ws, c.module, mod.Require)
}

// judge fails when the root module made its user list anything at all but
// golang.org/x/sys, or an adapter a framework that is not its own.
func judge(ws *workspace.Workspace, m workspace.Module, requires []workspace.Requirement) (string, error) {
	var foreign, found []string
	for _, r := range requires {
		if ws.Own(r.Path) {
			continue
		}
		foreign = append(foreign, r.Path)
		if isFramework(r.Path) {
			found = append(found, r.Path)
			if !slices.ContainsFunc(m.Require, func(own workspace.Requirement) bool { return own.Path == r.Path }) {
				return "", fmt.Errorf("its user has to require %s, which it does not require itself", r.Path)
			}
		}
	}
	if len(foreign) == 0 {
		return "nothing else", nil
	}
	if m.Rel == "." {
		if slices.Equal(foreign, []string{"golang.org/x/sys"}) {
			return "golang.org/x/sys", nil
		}
		return "", fmt.Errorf("its user has to require %s", strings.Join(foreign, ", "))
	}
	if len(found) > 1 {
		return "", fmt.Errorf("its user has to require %s", strings.Join(found, " and "))
	}
	return fmt.Sprintf("%d other modules (%s)", len(foreign), strings.Join(found, "")), nil
}

// isFramework reports whether path is a framework, of whatever major version.
func isFramework(path string) bool {
	return slices.ContainsFunc(frameworks, func(f string) bool {
		return path == f || strings.HasPrefix(path, f+"/") || strings.HasPrefix(path, f+".")
	})
}

// buildAll builds the module's commands from another module. It is the nearest
// to "go install" that a module with replace directives allows.
func (c *consumer) buildAll(ctx context.Context, commands []string) error {
	dir, err := c.program("package main\n\nfunc main() {}\n")
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		append([]string{"get"}, at(commands, c.version)...),
		append([]string{"build", "-o", os.DevNull}, commands...),
	} {
		if _, err := workspace.Go(ctx, dir, c.env, args...); err != nil {
			return err
		}
	}
	c.done = append(c.done, fmt.Sprintf("commands built: %d", len(commands)))
	return nil
}

// installAll installs the module's commands where the go command accepts that.
// What lives under cmd has no other use.
func (c *consumer) installAll(ctx context.Context, commands []string) error {
	if len(c.module.Replace) > 0 {
		if strings.HasPrefix(c.module.Rel, "cmd/") {
			return errors.New("\"go install\" refuses a module with replace directives")
		}
		return nil
	}
	args := append([]string{"install"}, at(commands, c.version)...)
	if _, err := workspace.Go(ctx, c.tmp, c.env, args...); err != nil {
		return err
	}
	c.done = append(c.done, fmt.Sprintf("commands installed: %d", len(commands)))
	return nil
}

// program makes an empty module with one source file.
func (c *consumer) program(src string) (string, error) {
	dir, err := os.MkdirTemp(c.tmp, "consumer-")
	if err != nil {
		return "", err
	}
	gomod := fmt.Sprintf("module consumer.example\n\ngo %s\n", c.module.Go)
	return dir, errors.Join(
		os.WriteFile(filepath.Join(dir, "go.mod"), []byte(gomod), 0o644),
		os.WriteFile(filepath.Join(dir, "main.go"), []byte(src), 0o644),
	)
}

func at(packages []string, version string) []string {
	queries := make([]string, len(packages))
	for i, p := range packages {
		queries[i] = p + "@" + version
	}
	return queries
}
