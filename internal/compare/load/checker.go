package main

import (
	"fmt"

	"github.com/sse-go/sse/internal/compare/control"
)

// checker checks the order of the events of a subscriber. In each topic their numbers
// must be 1, 2, 3, …, because the number of an event is the number of its wave.
type checker struct {
	topic int     // the only topic, or allTopics
	last  int64   // number of the last event of the only topic
	lasts []int64 // for allTopics: number of the last event of each topic
}

// allTopics is the topic of a subscriber of a pattern.
const allTopics = -1

// check returns an error if e is not the expected event. After a loss, it expects the
// number after e, so that one loss causes only one error.
func (c *checker) check(e control.Event) error {
	last := &c.last
	switch {
	case c.topic == allTopics && e.Topic < len(c.lasts):
		last = &c.lasts[e.Topic]
	case c.topic != e.Topic:
		return fmt.Errorf("received an event of topic %d as a subscriber of topic %d", e.Topic, c.topic)
	}
	want := *last + 1
	switch {
	case e.Wave == want:
		*last = want
		return nil
	case e.Wave > want:
		*last = e.Wave
		return fmt.Errorf("lost: event %d of topic %d follows %d", e.Wave, e.Topic, want-1)
	default:
		return fmt.Errorf("repeated or out of order: event %d of topic %d follows %d",
			e.Wave, e.Topic, want-1)
	}
}

// waves counts the received events of each wave. All events of all waves up to
// reached have arrived.
//
//	reached          reached+len(counts)
//	   │ 7 │ 10 │ 3 │ 0 │ 0 │
//	     └ counts[(reached+1) % len(counts)]
//
// Invariants: a count is 0 unless its wave is after reached and at most
// reached+len(counts). Every wave up to reached is complete.
type waves struct {
	reached int64
	each    int // number of events of a complete wave, for all subscribers
	counts  [1 << 16]int32
}

// add counts an event of a wave. It returns false if the wave is already complete, or
// if it is after reached+len(counts).
func (w *waves) add(wave int64) bool {
	if wave <= w.reached || wave > w.reached+int64(len(w.counts)) {
		return false
	}
	w.counts[wave%int64(len(w.counts))]++
	return true
}

// advance moves reached past all complete waves.
func (w *waves) advance() {
	for w.each > 0 {
		next := &w.counts[(w.reached+1)%int64(len(w.counts))]
		if int(*next) < w.each {
			return
		}
		*next = 0
		w.reached++
	}
}
