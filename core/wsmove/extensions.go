package wsmove

import (
	"net/http"
	"slices"
	"strings"
)

const (
	headerExtensions = "Sec-Websocket-Extensions"
	headerProtocol   = "Sec-Websocket-Protocol"

	deflate = "permessage-deflate"
	// noClientTakeover says that the client begins each message with an empty window (RFC 7692, section 7.1.1.2). A
	// window that goes on is in the memory of the library, and can't move. The other direction needs nothing of the
	// kind: a new compressor refers to nothing that was before it.
	noClientTakeover = "client_no_context_takeover"
)

// offerMovable adds client_no_context_takeover to each offer of permessage-deflate. A server may answer with it even if
// the client has not offered it.
func offerMovable(h http.Header) {
	values := h[headerExtensions]
	for i, v := range values {
		offers := strings.Split(v, ",")
		for j, offer := range offers {
			if name, params := parseExtension(offer); name == deflate && !slices.Contains(params, noClientTakeover) {
				offers[j] = offer + "; " + noClientTakeover
			}
		}
		values[i] = strings.Join(offers, ",")
	}
}

// movable reports whether a connection with the extensions of an answer can move.
func movable(extensions string) bool {
	for ext := range strings.SplitSeq(extensions, ",") {
		switch name, params := parseExtension(ext); {
		case name == "":
		case name != deflate, !slices.Contains(params, noClientTakeover):
			return false
		}
	}
	return true
}

// parseExtension returns the name and the parameters of an extension in lower case. No value of a parameter has a comma
// or a semicolon in it (RFC 7692).
func parseExtension(ext string) (name string, params []string) {
	for i, part := range strings.Split(ext, ";") {
		key, value, valued := strings.Cut(strings.ToLower(part), "=")
		key = strings.TrimSpace(key)
		switch {
		case i == 0:
			name = key
		case valued:
			params = append(params, key+"="+strings.Trim(strings.TrimSpace(value), `"`))
		default:
			params = append(params, key)
		}
	}
	return name, params
}

// answer is what the library has said to the handshake.
type answer struct {
	status     int
	protocol   string
	extensions string // with the parameters in order, so that two answers which say the same are equal
}

func answerOf(status int, h http.Header) answer {
	var all []string
	for ext := range strings.SplitSeq(strings.Join(h.Values(headerExtensions), ","), ",") {
		name, params := parseExtension(ext)
		if name == "" {
			continue
		}
		slices.Sort(params)
		all = append(all, strings.Join(append([]string{name}, params...), "; "))
	}
	return answer{status, h.Get(headerProtocol), strings.Join(all, ", ")}
}
