package conns

import (
	"testing"
	"testing/synctest"
	"time"
)

// told counts the groups that are.
func (g *Goodbye) countTold() (n int) {
	for i := range uint64(goodbyeGroups) {
		if isClosed(g.Of(i)) {
			n++
		}
	}
	return n
}

// TestGoodbye_TellsOneGroupAfterTheOther, and no more of them when the service is taken back.
func TestGoodbye_TellsOneGroupAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGoodbye()
		first, last := g.Channel(), g.Of(goodbyeGroups-1)
		g.Begin(time.Second)
		if !isClosed(first) || g.countTold() != 1 {
			t.Errorf("%d groups are told at once, want the first", g.countTold())
		}
		time.Sleep(9*time.Second + time.Millisecond)
		if n := g.countTold(); n != 10 {
			t.Errorf("%d groups are told after 9 s, want 10", n)
		}
		g.Renew()
		time.Sleep(time.Hour)
		if n := g.countTold(); n != 0 || isClosed(last) {
			t.Errorf("%d groups are told by a drain that was undone", n)
		}
		g.Begin(time.Second)
		time.Sleep(goodbyeGroups * time.Second)
		if n := g.countTold(); n != goodbyeGroups || !isClosed(last) {
			t.Errorf("%d groups are told in the end", n)
		}
		g.Renew()
		g.Begin(0)
		if n := g.countTold(); n != goodbyeGroups {
			t.Errorf("%d groups are told of all at once", n)
		}
	})
}
