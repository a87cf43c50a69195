package wsmove

import (
	"net/http"
	"testing"
)

func TestOfferMovable(t *testing.T) {
	t.Parallel()
	for offer, want := range map[string]string{
		"":                   "",
		"x-webkit-foo; mode": "x-webkit-foo; mode",
		"permessage-deflate": "permessage-deflate; client_no_context_takeover",
		"permessage-deflate; client_max_window_bits":                    "permessage-deflate; client_max_window_bits; client_no_context_takeover",
		"permessage-deflate; Client_No_Context_Takeover":                "permessage-deflate; Client_No_Context_Takeover",
		"x-foo, Permessage-Deflate;server_max_window_bits=10":           "x-foo, Permessage-Deflate;server_max_window_bits=10; client_no_context_takeover",
		"permessage-deflate; client_max_window_bits,permessage-deflate": "permessage-deflate; client_max_window_bits; client_no_context_takeover,permessage-deflate; client_no_context_takeover",
	} {
		h := http.Header{headerExtensions: {offer}}
		offerMovable(h)
		if got := h.Get(headerExtensions); got != want {
			t.Errorf("%q becomes %q, want %q", offer, got, want)
		}
	}
}

func TestMovable(t *testing.T) {
	t.Parallel()
	for extensions, want := range map[string]bool{
		"":                   true,
		"permessage-deflate": false,
		"permessage-deflate; server_no_context_takeover":                             false,
		"permessage-deflate; client_no_context_takeover":                             true,
		"permessage-deflate;server_no_context_takeover;client_no_context_takeover":   true,
		"x-foo; client_no_context_takeover":                                          false,
		"permessage-deflate; client_no_context_takeover, x-foo":                      false,
		"permessage-deflate; client_no_context_takeover; client_max_window_bits=\"9": true,
	} {
		if got := movable(extensions); got != want {
			t.Errorf("%q: %v", extensions, got)
		}
	}
}

// TestAnswerOf_EqualAnswersAreEqual: another version of a library may write the same in another order.
func TestAnswerOf_EqualAnswersAreEqual(t *testing.T) {
	t.Parallel()
	a := answerOf(101, http.Header{headerExtensions: {"permessage-deflate; server_max_window_bits=10; client_no_context_takeover"}})
	b := answerOf(101, http.Header{headerExtensions: {`Permessage-Deflate;client_no_context_takeover ; server_max_window_bits="10"`}})
	if a != b {
		t.Errorf("%q and %q", a, b)
	}
	if c := answerOf(101, http.Header{headerExtensions: {"permessage-deflate; client_no_context_takeover"}}); a == c {
		t.Errorf("%q says another thing than %q", a, c)
	}
}
