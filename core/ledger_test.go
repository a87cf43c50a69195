package core_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core"
)

// TestLedger_IsReadAsItWasWritten, with the names of the log.
func TestLedger_IsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	want := core.Ledger{
		Generation: 1, PID: 2, State: core.StateDraining, Accepted: 3, Served: 4, Adopted: 5, Moved: 6, Refused: 7, ClosedPolitely: 8, ClosedIdle: 9,
		Cut: core.Remaining{Requests: 10, Connections: 11, Hijacked: 12, Sockets: 13}, Open: core.Remaining{Requests: 14, Connections: 15, Hijacked: 16, Sockets: 17},
	}
	b, err := json.Marshal(want)
	must(t, err)
	var got core.Ledger
	must(t, json.Unmarshal(b, &got))
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	var all map[string]any
	must(t, json.Unmarshal(b, &all))
	for _, a := range want.LogValue().Group() {
		if all[a.Key] == nil || fmt.Sprint(all[a.Key]) != a.Value.String() {
			t.Errorf("%s has %v for %s, and the log %v", b, all[a.Key], a.Key, a.Value)
		}
	}
	if err := json.Unmarshal([]byte(`{"state":"gone"}`), &got); err == nil || !strings.Contains(err.Error(), "none, starting, current") {
		t.Errorf("another state: %v", err)
	}
}
