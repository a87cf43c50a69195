package release

import (
	"errors"
	"strings"
	"testing"
)

// TestGenuine_DoesNotTellAKey: somebody can have configured the private key in place of the public one.
func TestGenuine_DoesNotTellAKey(t *testing.T) {
	t.Parallel()
	secret := "RWQAAEIy" + strings.Repeat("c2VjcmV0", 24)
	_, _, err := Trust{Name: "shop", Keys: []string{secret}}.Genuine(t.Context(), Offer{Manifest: []byte("{}"), Signature: []byte("x")})
	if !errors.Is(err, ErrNotAccepted) || !strings.Contains(err.Error(), "key 1 of the 1 configured ones is no public key") || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("%v", err)
	}
}
