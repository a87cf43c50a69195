package activation

import (
	"reflect"
	"strings"
	"testing"
)

func parse(pid, fds, names string) ([]Socket, error) {
	vars := map[string]string{EnvPID: pid, EnvFDs: fds, EnvNames: names}
	return Parse(func(key string) string { return vars[key] }, 4711)
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pid, fds, names string
		want            []Socket
		bad             string // the variable that the error names
	}{
		{"", "", "", nil, ""},
		{"", "2", "", nil, ""}, // no process number: not systemd
		{"4712", "-1", "a:b", nil, ""},
		{"4711", "2", "", []Socket{{FD: 3, Name: ""}, {FD: 4, Name: ""}}, ""},
		{"4711", "2", "web:unknown", []Socket{{FD: 3, Name: "web"}, {FD: 4, Name: ""}}, ""},
		{"4711", "0", "", []Socket{}, ""},
		{"4711", "", "", nil, EnvFDs},
		{"4711", "-1", "", nil, EnvFDs},
		{"4711", "two", "", nil, EnvFDs},
		{"4711", "99999999999999999999", "", nil, EnvFDs},
		{"4711", "5000", "", nil, EnvFDs},
		{"4711", "2", "web", nil, EnvNames},
		{"4711", "1", "web:admin", nil, EnvNames},
	} {
		got, err := parse(c.pid, c.fds, c.names)
		if c.bad != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.bad+"=") {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %+v %v", c, got, err)
		}
	}
}

// FuzzParse: whatever the variables hold, there is an error, or as many descriptors as
// they say.
func FuzzParse(f *testing.F) {
	f.Add("1", "web")
	f.Add("2", "a:b")
	f.Add("-3", ":::")
	f.Fuzz(func(t *testing.T, fds, names string) {
		got, err := parse("4711", fds, names)
		if err != nil {
			return
		}
		for i, s := range got {
			if s.FD != First+i || strings.Contains(s.Name, ":") {
				t.Errorf("%q %q: %+v", fds, names, got)
			}
		}
	})
}
