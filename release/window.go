package release

import (
	"fmt"
	"strings"
	"time"
)

// Window is a part of the week, such as "Mon-Thu 09:00-16:00 Europe/Berlin". The zero Window is the whole week. Make
// one with ParseWindow.
type Window struct {
	text     string
	days     [7]bool
	from, to time.Duration // since midnight; to can be on the next day
	zone     *time.Location
}

// weekdays have the names of days as they are written in a window.
var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseWindow reads a window: days, hours and a time zone, such as "Mon-Thu,Sat 09:00-16:00 Europe/Berlin". The days can
// be left out, and so can the zone, which is UTC then. Hours that end before they begin go on on the next day.
func ParseWindow(text string) (Window, error) {
	w := Window{text: text, zone: time.UTC}
	bad := func(why string) (Window, error) {
		return Window{}, fmt.Errorf("release: the window %q: %s; write it as \"Mon-Thu 09:00-16:00 Europe/Berlin\"", text, why)
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return Window{}, nil
	}
	if !strings.Contains(words[0], ":") {
		if err := w.setDays(words[0]); err != nil {
			return bad(err.Error())
		}
		words = words[1:]
	} else {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	if len(words) == 0 {
		return bad("it has no hours")
	}
	from, to, ok := strings.Cut(words[0], "-")
	if !ok {
		return bad("the hours have no end")
	}
	var err error
	if w.from, err = clock(from); err != nil {
		return bad(err.Error())
	}
	if w.to, err = clock(to); err != nil {
		return bad(err.Error())
	}
	if w.to <= w.from {
		w.to += 24 * time.Hour
	}
	if len(words) > 2 {
		return bad(fmt.Sprintf("%q is too much", strings.Join(words[2:], " ")))
	}
	if len(words) == 2 {
		if w.zone, err = time.LoadLocation(words[1]); err != nil {
			return bad(err.Error())
		}
	}
	return w, nil
}

// setDays reads days such as Mon-Thu,Sat.
func (w *Window) setDays(text string) error {
	for _, part := range strings.Split(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, to := day(first), day(last)
		if from < 0 || to < 0 {
			return fmt.Errorf("%q is no day", part)
		}
		for d := from; ; d = (d + 1) % 7 {
			w.days[d] = true
			if d == to {
				break
			}
		}
	}
	return nil
}

// day is the number of a weekday; -1 for another word.
func day(name string) int {
	for i, d := range weekdays {
		if strings.EqualFold(name, d) {
			return i
		}
	}
	return -1
}

// clock reads a time of the day, from 00:00 to 24:00.
func clock(text string) (time.Duration, error) {
	if text == "24:00" {
		return 24 * time.Hour, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time such as 09:00", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// String returns the text that it was made of.
func (w Window) String() string { return w.text }

// length is how long the window is open at a time.
func (w Window) length() time.Duration { return w.to - w.from }

// next returns the first moment from now on that is in the window: now itself, if it is.
func (w Window) next(now time.Time) time.Time {
	if w.zone == nil {
		return now
	}
	local := now.In(w.zone)
	for ahead := -1; ahead <= 8; ahead++ { // from yesterday, whose hours can go on today
		y, m, d := local.AddDate(0, 0, ahead).Date()
		midnight := time.Date(y, m, d, 0, 0, 0, 0, w.zone)
		if !w.days[midnight.Weekday()] {
			continue
		}
		from, to := at(midnight, w.from), at(midnight, w.to)
		switch {
		case !now.Before(to):
		case now.Before(from):
			return from
		default:
			return now
		}
	}
	return now.AddDate(0, 0, 7) // it can't be: each window has a day
}

// at is a time of the day by the clock on the wall, which a change to summer time moves.
func at(midnight time.Time, d time.Duration) time.Time {
	return time.Date(midnight.Year(), midnight.Month(), midnight.Day(), int(d/time.Hour), int(d%time.Hour/time.Minute), 0, 0, midnight.Location())
}
