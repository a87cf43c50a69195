package main

import (
	"math"
	"slices"
	"strconv"
)

// over divides by another sample, round by round.
func over(a, b []float64) (ratios []float64) {
	for i := range min(len(a), len(b)) {
		ratios = append(ratios, a[i]/b[i])
	}
	return ratios
}

// spread is the median and the quartiles.
func spread(sample []float64, digits int) string {
	sorted := slices.Sorted(slices.Values(sample))
	at := func(q float64) string {
		if len(sorted) == 0 || slices.ContainsFunc(sorted, math.IsNaN) {
			return "-"
		}
		rank := int(math.Ceil(q * float64(len(sorted))))
		return strconv.FormatFloat(sorted[max(rank, 1)-1], 'f', digits, 64)
	}
	return at(0.5) + " [" + at(0.25) + ".." + at(0.75) + "]"
}
