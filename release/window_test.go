package release

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	const zoned = "2006-01-02 15:04 MST"
	for _, tt := range []struct{ window, now, next string }{
		{"", "2026-11-30 03:00 UTC", "2026-11-30 03:00 UTC"},
		{"09:00-16:00", "2026-11-30 03:00 UTC", "2026-11-30 09:00 UTC"},
		{"09:00-16:00", "2026-11-30 09:00 UTC", "2026-11-30 09:00 UTC"},
		{"09:00-16:00", "2026-11-30 16:00 UTC", "2026-12-01 09:00 UTC"},
		{"Mon-Thu 09:00-16:00", "2026-11-27 10:00 UTC", "2026-11-30 09:00 UTC"}, // a Friday
		{"fri-mon 09:00-16:00", "2026-11-29 10:00 UTC", "2026-11-29 10:00 UTC"}, // a Sunday
		{"Tue 00:00-24:00", "2026-12-01 23:59 UTC", "2026-12-01 23:59 UTC"},
		{"Tue 00:00-24:00", "2026-12-02 00:00 UTC", "2026-12-08 00:00 UTC"},
		{"Mon 22:00-02:00", "2026-12-01 01:00 UTC", "2026-12-01 01:00 UTC"}, // it is Tuesday
		{"Mon 22:00-02:00", "2026-12-01 03:00 UTC", "2026-12-07 22:00 UTC"},
		{"Mon,Wed 09:00-10:00", "2026-11-30 10:00 UTC", "2026-12-02 09:00 UTC"},
		{"09:00-16:00 Europe/Berlin", "2026-11-30 03:00 UTC", "2026-11-30 08:00 UTC"},
		{"09:00-16:00 Europe/Berlin", "2026-07-01 03:00 UTC", "2026-07-01 07:00 UTC"},     // summer time
		{"Sun 09:00-10:00 Europe/Berlin", "2026-10-25 00:00 UTC", "2026-10-25 08:00 UTC"}, // it ends that night
	} {
		w, err := ParseWindow(tt.window)
		if err != nil {
			t.Error(err)
			continue
		}
		now, err := time.Parse(zoned, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.next(now).UTC().Format(zoned); got != tt.next {
			t.Errorf("%q at %s: %s, and not %s", tt.window, tt.now, got, tt.next)
		}
	}
	for _, bad := range []string{
		"Mon", "09:00", "09:00-", "9-16", "Mon-Foo 09:00-16:00", "Mon 09:00-25:00", "09:00-16:00 Mars/Olympus", "09:00-16:00 UTC x", "Mon, 09:00-10:00", "- 09:00-10:00",
	} {
		if w, err := ParseWindow(bad); err == nil {
			t.Errorf("ParseWindow(%q) = %v", bad, w)
		}
	}
}
