//go:build !unix

package core

func readUmask() int { return -1 }

func setUmask(int) {}
