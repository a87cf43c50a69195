//go:build !race

package handover

const raced = false
