package conns

import "testing"

// TestSelfTest pins what moving connections relies on: with a Go release that fails it, connections stay.
func TestSelfTest(t *testing.T) {
	t.Parallel()
	if err := probeNetHTTP(readBuffer); err != nil {
		t.Error(err)
	}
	if err := probeNetHTTP(readBuffer / 2); err == nil {
		t.Error("a buffer of another size was not noticed")
	}
}

func BenchmarkSelfTest(b *testing.B) {
	for b.Loop() {
		if err := probeNetHTTP(readBuffer); err != nil {
			b.Fatal(err)
		}
	}
}
