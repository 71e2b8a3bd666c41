package heap_test

import (
	"runtime"
	"testing"

	"github.com/sse-go/sse/internal/heap"
)

const size = 16 << 20

func TestInUse(t *testing.T) {
	before := heap.InUse()
	block := make([]byte, size)
	reachable := heap.InUse()
	runtime.KeepAlive(block)
	if grown := int64(reachable) - int64(before); grown < size-size/4 || grown > size+size/4 {
		t.Errorf("got %d bytes more with a reachable block of %d bytes", grown, size)
	}
	if rest := int64(heap.InUse()) - int64(before); rest > size/4 {
		t.Errorf("got %d bytes more after the block became garbage, want about 0", rest)
	}
}

var block []byte

func TestAllocated(t *testing.T) {
	objects, bytes := heap.Allocated(func() {
		for range 10 {
			block = make([]byte, size/10)
		}
	})
	if objects < 10 || bytes < size/10*10 {
		t.Errorf("got %d objects, %d bytes, want at least 10 objects, %d bytes",
			objects, bytes, size/10*10)
	}
}
