//go:build !unix

package main

func leakDescriptor() {}
