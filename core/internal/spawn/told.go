package spawn

import "encoding/json"

// told is a Launch for a supervisor. Arguments and variables are bytes, and need not be UTF-8.
type told struct {
	Dir   string   `json:"dir"`
	Fixed bool     `json:"fixed,omitempty"`
	Argv  [][]byte `json:"argv"`
	Env   [][]byte `json:"env"`

	Program []byte `json:"program,omitempty"`
	Trusted bool   `json:"trusted,omitempty"`
	Raised  bool   `json:"raised,omitempty"`
}

// Tell returns what ParseLaunch reads: all but the umask, which a supervisor has itself.
func (l Launch) Tell() []byte {
	b, _ := json.Marshal(told{l.Dir, l.Fixed, bytesOf(l.Argv), bytesOf(l.Env), []byte(l.Program), l.Trusted, l.Raised}) // it has nothing that can't be marshaled
	return b
}

// ParseLaunch reads what Tell returns.
func ParseLaunch(b []byte) (Launch, error) {
	var t told
	if err := json.Unmarshal(b, &t); err != nil {
		return Launch{}, err
	}
	return Launch{
		Dir: t.Dir, Fixed: t.Fixed, Argv: stringsOf(t.Argv), Env: stringsOf(t.Env), Umask: -1,
		Program: string(t.Program), Trusted: t.Trusted, Raised: t.Raised,
	}, nil
}

func bytesOf(all []string) (b [][]byte) {
	for _, s := range all {
		b = append(b, []byte(s))
	}
	return b
}

func stringsOf(all [][]byte) (s []string) {
	for _, b := range all {
		s = append(s, string(b))
	}
	return s
}
