package main

import (
	"fmt"

	"github.com/sse-go/sse/internal/compare/control"
)

// checker knows which event a subscriber gets next: in each topic the numbers are
// 1, 2, 3, ….
type checker struct {
	topic int     // the only one, or allTopics
	last  int64   // of the only topic
	lasts []int64 // by topic, for allTopics
}

// allTopics is the topic of who subscribes to a pattern.
const allTopics = -1

// check says what is wrong about an event. After a loss it goes on from there, so
// that one loss is one error.
func (c *checker) check(e control.Event) error {
	last := &c.last
	switch {
	case c.topic == allTopics && e.Topic < len(c.lasts):
		last = &c.lasts[e.Topic]
	case c.topic != e.Topic:
		return fmt.Errorf("an event of topic %d for a subscriber of topic %d", e.Topic, c.topic)
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
		return fmt.Errorf("twice or out of order: event %d of topic %d follows %d",
			e.Wave, e.Topic, want-1)
	}
}

// waves counts how many events of each wave have come, and so knows up to which
// wave all have.
//
//	reached          reached+len(counts)
//	   │ 7 │ 10 │ 3 │ 0 │ 0 │
//	     └ counts[(reached+1) % len(counts)]
//
// Invariants: a count is 0 unless its wave lies between the two; every wave up to
// reached is complete.
type waves struct {
	reached int64
	each    int // events of a complete wave
	counts  [1 << 16]int32
}

// add counts an event. It reports false for a wave that is further ahead than
// any publisher may be.
func (w *waves) add(wave int64) bool {
	if wave <= w.reached || wave > w.reached+int64(len(w.counts)) {
		return false
	}
	w.counts[wave%int64(len(w.counts))]++
	return true
}

// advance moves reached over all waves that are complete.
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
