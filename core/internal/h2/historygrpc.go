package h2

import "math"

// grpc-go's server has no handler for the request of a history, and takes each HEADERS for a new stream. So it is told
//
//	SETTINGS              the client's, with a header table that is smaller than the first one
//	HEADERS, END_STREAM   what fills the header table, and then what is no request, on the highest stream that the client
//	                      has opened. The server resets the stream, and nobody hears of it
//	WINDOW_UPDATE         what the connection's window has more or less than its first size
//	SETTINGS ACK, PING    as net/http's
//
// It can't be told that it has sent something. But it keeps the connection's window in 32 bits and adds to it without a
// look, which RFC 9113, section 6.9.1, leaves to it: so what lacks of the first size is added as 2^32 less that. If a
// release does look, ProbeMoveGRPC notices, and connections stay.
//
// Its encoder begins with a header table of the first size, and says a size to the client only when it makes that
// smaller. The table of the encoder before it can be any size up to what the client permits: it does not grow again when the
// client permits more. So this one is made to say its size, in its next header block.

// noRequest is a field, x: x, and a pseudo-header field behind it, which is malformed (section 8.3). Both are in literals
// and indices that add nothing to a table.
var noRequest = []byte{0, 1, 'x', 1, 'x', methodGet}

// tellGRPC is tell.
func (h *history) tellGRPC() error {
	c := h.c
	switch h.step {
	case 1:
		table := min(h.st.Client.get(settingTableSize), initialTableSize-1)
		c.ahead = h.st.Client.with(settingTableSize, table).appendFrame(nil)
		if h.st.Last > 0 {
			c.ahead = appendBlock(c.ahead, h.st.Last, append(h.st.Table[:len(h.st.Table):len(h.st.Table)], noRequest...))
		}
	case 2:
		if h.st.Last > 0 {
			if err := h.await(h.ended); err != nil {
				return err
			}
		}
		if err := h.await(h.greeted); err != nil {
			return err
		}
		c.ahead = h.appendEnd(appendSendWindow(nil, h.st.Send))
	default:
		return h.awaitEnd()
	}
	return nil
}

// appendSendWindow appends what makes a window of 32 bits that has its first size one of the given size.
func appendSendWindow(b []byte, size uint32) []byte {
	for more := size - initialWindow; more > 0; { // modulo 2^32
		n := min(more, math.MaxInt32)
		b = appendWindow(b, 0, n)
		more -= n
	}
	return b
}

// seesReset is for a frame on the stream of what is no request.
func (h *history) seesReset(head *head) {
	if head.kind() == typeReset {
		closeOnce(h.ended)
		return
	}
	h.fail()
}
