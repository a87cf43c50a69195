package tickets

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// Rotation is the age of the newest key at which another one is made: crypto/tls's ticketKeyRotation.
	Rotation = 24 * time.Hour
	// Lifetime is the age at which a key is dropped: crypto/tls's ticketKeyLifetime.
	Lifetime = 7 * 24 * time.Hour

	size = 32 // of a key in bytes: crypto/tls, Config.SetSessionTicketKeys

	// maxKeys is how many there are at the most. One a day makes 8; a process that serves before it has got those of the
	// old one adds its own.
	maxKeys = 16
)

// Keys are the keys of a service. Make them with New. Any goroutine may call the methods.
type Keys struct {
	rotates func() bool // whether this process may make another key
	now     func() time.Time

	mu      sync.Mutex
	list    []*key // newest first
	change  int    // counts the changes of list
	sealers map[string]*Sealer
}

// New returns the keys of a process that has none yet. The first one is made when it is needed. mayRotate reports
// whether this process may add another one: nobody else would know it while two processes can serve.
func New(mayRotate func() bool) *Keys {
	return &Keys{rotates: mayRotate, now: time.Now, sealers: make(map[string]*Sealer)}
}

// key is one of them.
type key struct {
	secret [size]byte
	born   time.Time
}

// Format keeps the secret out of any text.
func (*key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// Format keeps the secrets out of any text.
func (*Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secrets]") }

// Format keeps the secrets out of any text.
func (*Sealer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secrets]") }

// refreshLocked drops the keys that are too old, and makes one if there is none that is young enough.
func (k *Keys) refreshLocked() {
	now := k.now()
	k.dropLocked(now)
	if len(k.list) > 0 && (now.Sub(k.list[0].born) < Rotation || !k.rotates()) {
		return
	}
	fresh := &key{born: now}
	_, _ = rand.Read(fresh.secret[:]) // it never fails
	k.putLocked(append([]*key{fresh}, k.list...))
}

// dropLocked drops the keys that are too old.
func (k *Keys) dropLocked(now time.Time) {
	if n := len(k.list); n > 0 && now.Sub(k.list[n-1].born) >= Lifetime {
		k.putLocked(slices.DeleteFunc(slices.Clone(k.list), func(x *key) bool { return now.Sub(x.born) >= Lifetime }))
	}
}

// putLocked replaces the list.
func (k *Keys) putLocked(list []*key) {
	if len(list) > maxKeys {
		list = list[:maxKeys]
	}
	for _, x := range k.list {
		if !slices.Contains(list, x) {
			clear(x.secret[:])
		}
	}
	k.list = list
	k.change++
}

// keysJSON is the payload as Take reads it.
type keysJSON struct {
	Keys []struct {
		Key  []byte `json:"key"`
		Born int64  `json:"born"` // Unix time in seconds
	} `json:"keys"`
}

// Payload is what the next process is to have, nil if there are no keys. It is a secret: the caller clears it.
func (k *Keys) Payload() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropLocked(k.now())
	if len(k.list) == 0 {
		return nil
	}
	// By hand, because json.Marshal keeps its buffers.
	b := append(make([]byte, 0, 128*(1+len(k.list))), `{"keys":[`...)
	for i, x := range k.list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"key":"`...)
		b = base64.StdEncoding.AppendEncode(b, x.secret[:])
		b = append(b, `","born":`...)
		b = strconv.AppendInt(b, x.born.Unix(), 10)
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

// errNoKeys says nothing of what has come instead.
var errNoKeys = errors.New("these are no keys of session tickets")

// Take takes what the old process has said. A key that it has made itself before stays. The payload is cleared.
func (k *Keys) Take(payload []byte) error {
	defer clear(payload)
	var msg keysJSON
	err := json.Unmarshal(payload, &msg)
	defer func() {
		for _, x := range msg.Keys {
			clear(x.Key)
		}
	}()
	if err != nil || len(msg.Keys) > maxKeys {
		return errNoKeys
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	all := slices.Clone(k.list)
	for _, x := range msg.Keys {
		if len(x.Key) != size {
			return errNoKeys
		}
		t := &key{born: time.Unix(x.Born, 0)}
		copy(t.secret[:], x.Key)
		if t.born.After(now) { // by another clock
			t.born = now
		}
		if !slices.ContainsFunc(all, func(o *key) bool { return o.secret == t.secret }) {
			all = append(all, t)
		}
	}
	slices.SortStableFunc(all, func(a, b *key) int { return b.born.Compare(a.born) })
	k.putLocked(all)
	return nil
}

// Sealer returns what seals and opens the tickets of a server. Two servers with the same label open each other's.
func (k *Keys) Sealer(label string) *Sealer {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.sealers[label]
	if s == nil {
		s = &Sealer{keys: k, label: label, conf: new(tls.Config)}
		k.sealers[label] = s
	}
	return s
}

// Sealer seals and opens the tickets of one server.
type Sealer struct {
	keys   *Keys
	label  string
	conf   *tls.Config // whose EncryptTicket and DecryptTicket do it
	change int         // of keys, as of which conf has them; guarded by keys.mu
}

// current returns conf with the keys as they are now.
func (s *Sealer) current() (*tls.Config, error) {
	k := s.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refreshLocked()
	if s.change != k.change {
		derived := make([][size]byte, len(k.list))
		defer clear(derived)
		for i, x := range k.list {
			if err := x.derive(s.label, &derived[i]); err != nil {
				return nil, err
			}
		}
		s.conf.SetSessionTicketKeys(derived)
		s.change = k.change
	}
	return s.conf, nil
}
