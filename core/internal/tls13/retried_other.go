//go:build !go1.26

package tls13

import "crypto/tls"

// ConnectionState.HelloRetryRequest is new in Go 1.26.

func retried(*tls.ConnectionState) bool { return false }

func setRetried(*tls.ConnectionState, bool) {}
