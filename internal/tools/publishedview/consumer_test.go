package main

import (
	"testing"

	"github.com/gracex-go/gracex/internal/tools/workspace"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	root := workspace.Module{Path: "m", Rel: "."}
	adapter := func(frameworks ...string) workspace.Module {
		m := workspace.Module{Path: "m/a", Rel: "a"}
		for _, path := range frameworks {
			m.Require = append(m.Require, workspace.Requirement{Path: path, Version: "v1.0.0"})
		}
		return m
	}
	ws := &workspace.Workspace{Modules: []workspace.Module{root, adapter()}}
	for _, test := range []struct {
		module   workspace.Module
		requires []string
		ok       bool
	}{
		{root, []string{"m"}, true},
		{root, []string{"m", "golang.org/x/sys"}, true},
		{root, []string{"m", "golang.org/x/net"}, false},
		{root, []string{"m", "golang.org/x/sys", "github.com/gin-gonic/gin"}, false},
		{adapter("github.com/labstack/echo/v5"), []string{"m", "m/a", "github.com/labstack/echo/v5", "golang.org/x/net"}, true},
		{adapter("github.com/labstack/echo/v5"), []string{"m", "m/a", "github.com/labstack/echo/v4"}, false},
		{adapter("gopkg.in/macaron.v1"), []string{"m", "m/a", "gopkg.in/macaron.v1", "github.com/go-chi/chi/v5"}, false},
		{adapter("gopkg.in/macaron.v1", "github.com/go-chi/chi/v5"), []string{"m", "m/a", "gopkg.in/macaron.v1", "github.com/go-chi/chi/v5"}, false},
		{adapter("github.com/gin-gonic/gin"), []string{"m", "m/a", "github.com/gin-gonic/gin", "github.com/gin-contrib/sse"}, true},
		{adapter("github.com/go-chi/chi/v5"), []string{"m", "m/a"}, true},
		{adapter("github.com/go-chi/chi/v5"), []string{"m", "m/a", "github.com/gin-gonic/gin"}, false},
	} {
		var requires []workspace.Requirement
		for _, path := range test.requires {
			requires = append(requires, workspace.Requirement{Path: path, Version: "v1.0.0"})
		}
		if got, err := judge(ws, test.module, requires); (err == nil) != test.ok {
			t.Errorf("%s requiring %q: %q, %v", test.module.Path, test.requires, got, err)
		}
	}
}
