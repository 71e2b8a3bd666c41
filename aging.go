package sse

import (
	"container/heap"
	"math"
)

// agingTopics is a heap of the topics whose rule has an Age and retains entries. On top
// is the topic whose oldest entry is the first to become too old.
type agingTopics []*topicState

// update adds, moves or removes a topic after its oldest entry has changed.
func (a *agingTopics) update(t *topicState) {
	if t.rule == nil || t.rule.Age <= 0 {
		return
	}
	i := t.agingIndex - 1
	if t.retainedEvents == 0 {
		if i >= 0 {
			heap.Remove(a, i)
		}
		return
	}
	oldest := t.oldestRetained().time
	t.tooOldAt = oldest + min(int64(t.rule.Age), math.MaxInt64-oldest)
	if i < 0 {
		heap.Push(a, t)
	} else {
		heap.Fix(a, i)
	}
}

func (a agingTopics) Len() int           { return len(a) }
func (a agingTopics) Less(i, j int) bool { return a[i].tooOldAt < a[j].tooOldAt }

func (a agingTopics) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].agingIndex, a[j].agingIndex = i+1, j+1
}

// Push is for package heap.
func (a *agingTopics) Push(t any) {
	*a = append(*a, t.(*topicState))
	t.(*topicState).agingIndex = len(*a)
}

// Pop is for package heap.
func (a *agingTopics) Pop() any {
	last := len(*a) - 1
	t := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	t.agingIndex = 0
	return t
}
