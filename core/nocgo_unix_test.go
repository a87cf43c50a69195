//go:build unix && !cgo

package core_test

const cgo = false
