package conns

import (
	"net"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestGive_ClosedOnesAreForgotten, also while nobody counts what is open.
func TestGive_ClosedOnesAreForgotten(t *testing.T) {
	t.Parallel()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	table := NewTable(NewGoodbye())
	for range 3 * fewGiven {
		c := must.Get(net.Dial("tcp", ln.Addr().String()))(t)
		given := table.Track(c, nil, Hijacked).Give()
		if given != c || table.Given(given) == nil {
			t.Fatalf("gives %v, and knows %v", given, table.Given(given))
		}
		must.Do(t, given.Close())
	}
	if n := len(table.given.m); n > fewGiven {
		t.Errorf("%d are held", n)
	}
	if !table.Empty(true) {
		t.Error("some are left")
	}
}

// TestGive_TypesOfTheProgramStayWrapped: nobody could tell when they are closed, and they may be no keys of a map.
func TestGive_TypesOfTheProgramStayWrapped(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	table := NewTable(NewGoodbye())
	foreign := struct {
		net.Conn
		_ []int
	}{Conn: a}
	c := table.Track(foreign, nil, Hijacked)
	if c.Give() != net.Conn(c) || table.Given(foreign) != nil {
		t.Error("it is given away")
	}
	must.Do(t, c.Close())
	if !table.Empty(true) {
		t.Error("it is left")
	}
}
