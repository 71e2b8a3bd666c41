package hub

import (
	"github.com/sse-go/sse/cmd/sse/internal/api"
	"github.com/sse-go/sse/cmd/sse/internal/limits"
)

// Limits returns all limits of the hub.
func Limits() []limits.Group {
	return append(api.Limits(defaultMaxEvent),
		limits.Group{Title: "All connections together", Limits: []limits.Limit{
			limits.New("open connections", "max-connections",
				"the hard limit of descriptors (`ulimit -Hn`) minus "+
					limits.Count(reservedDescriptors)+"; if the hard limit is below "+
					limits.Count(2*reservedDescriptors)+", half of it",
				"further connections wait; the hub closes connections that were idle for "+
					limits.Duration(idleTime)+", and logs a warning at most once in "+
					limits.Duration(fullLogPause)),
			limits.New("warnings and errors of one kind in the log", "",
				"1 in "+limits.Duration(spacedPause),
				"the hub counts the others, and logs their number"),
		}},
		limits.Group{Title: "Stored events", Limits: []limits.Limit{
			limits.New("bytes of events on the disk", "keep-bytes", limits.Size(1<<30),
				"the oldest events are removed"),
			limits.New("bytes of events in memory", "keep-bytes", limits.Size(64<<20)+
				", and as much again for topics and bookkeeping",
				"the oldest events are removed from memory, with --data memory first those with "+
					"many topics; with a data directory, the hub reads them from the disk if a "+
					"subscriber needs them"),
			limits.New("number of events", "keep-events", "no limit on the disk, 16,384 in memory",
				"the oldest events are removed"),
			limits.New("age of events", "keep-age", "no limit", "older events are removed"),
			limits.New("topics in memory, and patterns of subscribers", "", limits.Count(1_000_000),
				"the oldest events are removed from memory; "+
					"a subscriber with a new topic or pattern receives 503"),
			limits.New("age of an Idempotency-Key", "idempotency-window", "24 hours", "the key is removed"),
			limits.New("Idempotency-Keys of one access key", "", "1,000,000 on the disk, "+
				limits.Count(maxRequests)+" in memory", "the oldest keys are removed"),
		}},
	)
}
