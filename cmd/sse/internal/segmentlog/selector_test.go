package segmentlog

import (
	"testing"

	"github.com/sse-go/sse"
)

// growing is an index to which an entry is added after each call of len.
type growing struct{ *memIndex }

func (g growing) len() int {
	n := g.memIndex.len()
	g.add(&head{seq: g.base + uint64(n), topics: []string{"a"}}, loc{}, 0)
	return n
}

// TestSelectWhileAppending adds entries while a selector looks for them.
func TestSelectWhileAppending(t *testing.T) {
	pattern, err := sse.ParsePattern("*")
	if err != nil {
		t.Fatal(err)
	}
	for _, sel := range []sse.Selection{
		{Topics: []string{"a"}}, {Patterns: []sse.Pattern{pattern}},
	} {
		idx := growing{newMemIndex(1, 0, false)}
		for n := range 200 {
			set, err := newSelector(&sel).in(&segment{}, idx)
			if err != nil || set.count() < n {
				t.Fatalf("%d of %d entries are found, %v", set.count(), n, err)
			}
		}
	}
}
