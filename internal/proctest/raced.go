package proctest

// Times is how often something is done again and again: n times, and a quarter of that under the race detector, where all
// takes several times as long, and which has seen what there is to see by then.
func Times(n int) int {
	if Raced {
		return (n + 3) / 4
	}
	return n
}
