package wire

import (
	"strings"
	"testing"
)

func TestParseHandover(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]HandoverInfo{
		"1:5:4711":                                         {Version: 1, Descriptor: 5, PID: 4711, Umask: -1},
		"1:5:4711:flagless=1":                              {Version: 1, Descriptor: 5, PID: 4711, Umask: -1, Flagless: true},
		"1:5:4711:umask=18":                                {Version: 1, Descriptor: 5, PID: 4711, Umask: 18},
		"1:5:4711:stderr=6:pipe=7:id=9:umask=0":            {Version: 1, Descriptor: 5, PID: 4711, Stderr: 6, Pipe: 7, PipeID: 9},
		"2:5:4711:stderr=6:pipe=7:id=0":                    {Version: 2, Descriptor: 5, PID: 4711, Stderr: 6, Pipe: 7, Umask: -1},
		"1:5:4711:stderr=6:pipe=7:id=18446744073709551615": {Version: 1, Descriptor: 5, PID: 4711, Stderr: 6, Pipe: 7, PipeID: 1<<64 - 1, Umask: -1},
	} {
		if c, err := ParseHandover(v); err != nil || c != want || c.String() != v {
			t.Errorf("ParseHandover(%q) = %+v, %v", v, c, err)
		}
	}
	if c, err := ParseHandover("1:5:4711:later=x=y:umask=18:other="); err != nil || c.String() != "1:5:4711:umask=18" {
		t.Errorf("with fields of a later version: %v, %v", c, err)
	}
	for _, v := range []string{
		"", ":", "::", "1:5", "1:5:", "1:2:3", "1:-5:3", "0:5:3", "1:5:0", "1:5:-3", "x:5:3", "1:5:3:4", "1:5:3:",
		"1:99999:3", "1:99999999999999999999:3", " 1:5:3",
		"1:5:3:flagless=2", "1:5:3:flagless=", "1:5:3:umask=512", "1:5:3:umask=-1", "1:5:3:umask=", "1:5:3:umask=99999999999999999999",
		"1:5:3:stderr=6", "1:5:3:pipe=6", "1:5:3:stderr=6:pipe=6", "1:5:3:stderr=2:pipe=6", "1:5:3:stderr=6:pipe=5",
		"1:5:3:stderr=6:pipe=99999", "1:5:3:stderr=x:pipe=7", "1:5:3:stderr=6:pipe=7:id=x",
	} {
		if c, err := ParseHandover(v); err == nil || !strings.Contains(err.Error(), EnvHandover) {
			t.Errorf("ParseHandover(%q) = %v, %v; want an error that names %s", v, c, err, EnvHandover)
		}
	}
}

// FuzzParseHandover: what is accepted is in bounds and reads back the same.
func FuzzParseHandover(f *testing.F) {
	for _, s := range []string{
		"1:5:4711", "2:3:1", "", "1:5", "::", "1:-1:1", "1:65537:1",
		"1:5:4711:stderr=6:pipe=7:id=9:umask=18", "1:5:4711:x=1:stderr=0:pipe=0", "1:5:3:umask=777",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		c, err := ParseHandover(v)
		if err != nil {
			return
		}
		if c.Version < 1 || c.Descriptor < 3 || c.Descriptor > maxDescriptor || c.PID < 1 || c.Umask < -1 || c.Umask > 0o777 {
			t.Fatalf("%q gave %+v", v, c)
		}
		if c.Stderr != 0 && (c.Stderr <= c.Descriptor || c.Pipe <= c.Descriptor || max(c.Stderr, c.Pipe) > maxDescriptor+2) {
			t.Fatalf("%q gave %+v", v, c)
		}
		if c.Stderr == 0 {
			c.PipeID = 0 // of no pipe
		}
		if again, err := ParseHandover(c.String()); err != nil || again != c {
			t.Fatalf("%q gave %v, which gives %v, %v", v, c, again, err)
		}
	})
}

// FuzzLink: any value of the link's variable is refused, or says the same again.
func FuzzLink(f *testing.F) {
	for _, v := range []string{"", "1:3:4711", "1:70000:1", "1:3:-1", "1:3:1:2", "::", "1:03:+1"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		l, err := ParseLink(v)
		if err != nil {
			if l != (LinkInfo{}) || !strings.Contains(err.Error(), EnvLink) {
				t.Errorf("%+v %v", l, err)
			}
			return
		}
		if again, err := ParseLink(l.String()); again != l || err != nil {
			t.Errorf("%+v became %+v, %v", l, again, err)
		}
	})
}
