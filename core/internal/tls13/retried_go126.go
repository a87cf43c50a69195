//go:build go1.26

package tls13

import "crypto/tls"

func retried(cs *tls.ConnectionState) bool { return cs.HelloRetryRequest }

func setRetried(cs *tls.ConnectionState, is bool) { cs.HelloRetryRequest = is }
