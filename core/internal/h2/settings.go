package h2

import (
	"encoding/binary"
	"math"
)

// Parameters of SETTINGS (RFC 9113, section 6.5.2; the last two are RFC 8441's and RFC 9218's).
const (
	settingTableSize      = 1
	settingPush           = 2
	settingStreams        = 3
	settingWindow         = 4
	settingFrameSize      = 5
	settingHeaderListSize = 6
	settingConnect        = 8
	settingNoPriorities   = 9

	settingEnd   = 10 // those from here on are nobody's here
	settingBytes = 6
	lastOfHTTP2  = settingHeaderListSize
)

// initialWindow is a connection's window at its beginning (section 6.9.2), and maxWindow the largest.
const (
	initialWindow = 65535
	maxWindow     = 1<<31 - 1
)

// defaults are the values that hold without SETTINGS.
var defaults = [settingEnd]uint32{
	settingTableSize: initialTableSize, settingPush: 1, settingStreams: math.MaxUint32, settingWindow: initialWindow,
	settingFrameSize: 1 << 14, settingHeaderListSize: math.MaxUint32,
}

// Settings are the parameters that a side of a connection has said. The zero Settings are none.
type Settings struct {
	value [settingEnd]uint32
	said  [settingEnd]bool
}

// get returns a parameter, or its default.
func (s *Settings) get(id int) uint32 {
	if s.said[id] {
		return s.value[id]
	}
	return defaults[id]
}

func (s *Settings) set(id int, v uint32) { s.value[id], s.said[id] = v, true }

// take takes the payload of SETTINGS.
func (s *Settings) take(payload []byte) {
	for p := payload; len(p) >= settingBytes; p = p[settingBytes:] {
		if id := binary.BigEndian.Uint16(p); id < settingEnd {
			s.set(int(id), binary.BigEndian.Uint32(p[2:]))
		}
	}
}

// appendFrame appends SETTINGS with all of them.
func (s *Settings) appendFrame(b []byte) []byte {
	var payload []byte
	for id, said := range s.said {
		if said {
			payload = appendSetting(payload, id, s.value[id])
		}
	}
	return appendFrame(b, typeSettings, 0, 0, payload...)
}

func appendSetting(payload []byte, id int, v uint32) []byte {
	payload = binary.BigEndian.AppendUint16(payload, uint16(id))
	return binary.BigEndian.AppendUint32(payload, v)
}

// change returns the payload of SETTINGS by which a peer that knows old knows s. Of other parameters than RFC 9113's
// nothing is said: those of RFC 9218 may not change after the first SETTINGS.
func (s *Settings) change(old *Settings) (payload []byte) {
	for id := 1; id <= lastOfHTTP2; id++ {
		if v := s.get(id); v != old.get(id) {
			payload = appendSetting(payload, id, v)
		}
	}
	return payload
}

// with returns s with one more.
func (s Settings) with(id int, v uint32) *Settings {
	s.set(id, v)
	return &s
}
