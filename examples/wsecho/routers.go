package main

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
)

func ginRouter() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.Use(gin.Recovery())
	g.GET("/gin", func(c *gin.Context) { gorilla(c.Writer, c.Request) })
	return g
}

func echoRouter() http.Handler {
	e := echo.New()
	e.GET("/echo", func(c echo.Context) error {
		coder(c.Response(), c.Request())
		return nil
	})
	return e
}

func chiRouter() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.Recoverer)
	r.Get("/chi", gorilla)
	return r
}
