package main

import (
	"embed"
	"net/http"
)

//go:embed page.html crowd.js
var files embed.FS

// page serves one of the files.
func page(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, name) })
}
