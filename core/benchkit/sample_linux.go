package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// sample is what was measured of one thing, in the order of the measuring.
type sample []float64

// quantile is the least value that a share q of the sample, 0 to 1, does not exceed; NaN if it is empty.
func (s sample) quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	rank := int(math.Ceil(q * float64(len(s))))
	return sorted[min(max(rank, 1), len(s))-1]
}

func (s sample) median() float64 { return s.quantile(0.5) }

// over divides by another sample, round by round: in a round both had the same machine.
func (s sample) over(other sample) sample {
	ratios := make(sample, min(len(s), len(other)))
	for i := range ratios {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}

// ranged is the median, and the lowest and the highest value.
func (s sample) ranged() string { return s.between(0, 1, "(%s..%s)") }

// quartered is the median, and the quartiles.
func (s sample) quartered() string { return s.between(0.25, 0.75, "[%s..%s]") }

func (s sample) between(low, high float64, form string) string {
	text := number(s.median())
	if len(s) > 1 {
		text += " " + fmt.Sprintf(form, number(s.quantile(low)), number(s.quantile(high)))
	}
	return text
}

// number writes a figure with three digits or more.
func number(v float64) string {
	digits := 3
	switch size := math.Abs(v); {
	case math.IsNaN(v):
		return "-"
	case size >= 100:
		digits = 0
	case size >= 10:
		digits = 1
	case size >= 2:
		digits = 2
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}
