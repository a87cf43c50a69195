// Package ordinary has programs of ordinary size, each with a library that many programs use, and a test that runs each
// on gracex and on net/http alone.
package ordinary
