package release

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strconv"
	"time"
)

// share returns a number from 0 to 1 that is always the same for these words, and spread evenly.
func share(words ...string) float64 {
	h := sha256.New()
	for _, w := range words {
		h.Write([]byte(w))
		h.Write([]byte{0})
	}
	return float64(binary.BigEndian.Uint64(h.Sum(nil))>>11) / (math.MaxUint64>>11 + 1)
}

// waveOf returns when the wave of a host begins. Which hosts are the first ones is another matter for each release. It
// reports false for a host that is in no wave.
func (m Manifest) waveOf(host string, canary bool) (begins time.Time, ok bool) {
	if len(m.Waves) == 0 {
		return time.Time{}, true
	}
	place := share(host, m.Name, strconv.FormatInt(m.Serial, 10))
	for _, w := range m.Waves {
		if canary || place < w.Share {
			after, err := time.ParseDuration(w.After)
			return m.Time.Add(after), err == nil
		}
	}
	return time.Time{}, false
}
