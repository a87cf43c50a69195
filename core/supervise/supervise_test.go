package supervise

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	c := Config{}.withDefaults()
	for i, millis := range []int64{0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		if got := c.backoff(i); got.Milliseconds() != millis {
			t.Errorf("after %d crashes in a row: %v, want %d ms", i, got, millis)
		}
	}
	if got := c.backoff(1 << 20); got != DefaultMaxBackoff {
		t.Errorf("after very many: %v", got)
	}
	c = Config{MinBackoff: time.Minute, MaxBackoff: time.Second}.withDefaults()
	if got := c.backoff(2); got != time.Second {
		t.Errorf("a shortest pause over the longest one: %v", got)
	}
}
