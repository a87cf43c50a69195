// Package compattest runs the programs under the compat packages' testdata: programs on other libraries with
// nothing changed but the import.
package compattest
