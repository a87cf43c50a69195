package h2

// maxCode is the length of the longest code of HPACK's Huffman code, in bits.
const maxCode = 30

// codes is how many codes there are of each length in bits (RFC 7541, appendix B; with EOS). The code
// is canonical, so these numbers are all that tells where one symbol ends.
var codes = [maxCode + 1]uint32{
	5: 10, 6: 26, 7: 32, 8: 6, 10: 5, 11: 3, 12: 2, 13: 6, 14: 2, 15: 3,
	19: 3, 20: 8, 21: 13, 22: 26, 23: 29, 24: 12, 25: 4, 26: 15, 27: 19, 28: 29, 30: 4,
}

// decodedLen returns how many bytes a string in the Huffman code stands for. It does not say whether
// it is valid: the server does.
func decodedLen(b []byte) int {
	n, size := 0, 0
	var code, first uint32 // the bits of a symbol, and the first code of as many
	for _, c := range b {
		for bit := 7; bit >= 0; bit-- {
			code, first = code<<1|uint32(c>>bit)&1, first<<1
			if size++; code-first < codes[size] || size == maxCode {
				n++
				code, first, size = 0, 0, 0
				continue
			}
			first += codes[size]
		}
	}
	return n
}

// minDecodedLen is decodedLen of a string of so many bytes at the least.
func minDecodedLen(n int) int { return (8*n - 7 + maxCode - 1) / maxCode }
