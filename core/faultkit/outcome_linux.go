package main

import "strings"

// outcome is who serves when the dust has settled.
type outcome string

// The outcomes.
const (
	oldServes  outcome = "old"         // the old process serves on
	newServes  outcome = "new"         // the new one serves
	rolledBack outcome = "rolled back" // the old one had handed over, and serves again
	ended      outcome = "ended"       // nobody does: always wrong
	stranger   outcome = "stranger"    // a third one does: always wrong
)

// verdicts are the outcomes that are right.
type verdicts []outcome

func (v verdicts) String() string {
	words := make([]string, len(v))
	for i, o := range v {
		words[i] = string(o)
	}
	return strings.Join(words, " or ")
}
