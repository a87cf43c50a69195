//go:build unix

package spec_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
)

// Where it can't listen, each run method says so at once and names the place.
func TestErrorsNameTheAddress(t *testing.T) {
	t.Parallel()
	taken := proctest.Occupied(t)
	takesAddress := func(m method) bool { return !m.fd && m.env == nil && !m.foreign }
	each(t, takesAddress, func(t *testing.T, m method) {
		address := taken
		place := address[strings.LastIndex(address, ":"):] // the host is not every method's argument
		if m.kind.network == "unix" {
			address = filepath.Join(theSite().dir, "none", "sock")
			place = address
		}
		s := launch(t, m, "", address)
		if s.AwaitEnd() == 0 {
			t.Error("it ended as if nothing were wrong")
		}
		if e := s.last("returned"); !strings.HasPrefix(e.Error, "gracex: ") || !strings.Contains(e.Error, place) {
			t.Errorf("error %q, want gracex: ...%s...", e.Error, place)
		}
	})
}
