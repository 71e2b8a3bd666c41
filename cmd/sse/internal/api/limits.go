package api

import (
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/auth"
	"github.com/sse-go/sse/cmd/sse/internal/limits"
)

// The limits that Configure sets, in addition to bodyTimeout.
const (
	headTimeout = 10 * time.Second
	idleTimeout = 2 * time.Minute
	maxHeader   = 64 << 10
)

// Limits returns the limits of requests for docs/LIMITS.md. maxEvent is the default
// of Options.MaxEvent.
func Limits(maxEvent int) []limits.Group {
	return []limits.Group{
		{Title: "One event", Limits: eventLimits(maxEvent)},
		{Title: "One request", Limits: requestLimits()},
		{Title: "All requests together", Limits: []limits.Limit{
			limits.New("memory of all requests in flight: bodies, lines, and pages until they are written",
				"max-inflight", "1/8 of the memory (`GOMEMLIMIT`, cgroup or machine), at least "+
					limits.Size(minInflight)+" and four times `--max-event-size`",
				"a request waits up to "+limits.Duration(inflightTimeout)+
					", then it receives 503 with Retry-After"),
			limits.New("requests that use much CPU time at the same time: with a path and a query of "+
				limits.Size(heavyTarget)+" together, pages while they are built, batches over "+
				limits.Size(smallShare), "", "half of the processors, at least 1",
				"a request waits up to "+limits.Duration(inflightTimeout)+
					", then it receives 503 with Retry-After"),
			limits.New("valid tickets: not used, and not older than "+limits.Duration(auth.TicketAge), "",
				limits.Count(auth.MaxTickets), "503 with Retry-After"),
			limits.New("topics, patterns and origins of these tickets, together", "",
				limits.Size(auth.MaxTicketBytes), "503 with Retry-After"),
		}},
	}
}

func eventLimits(maxEvent int) []limits.Limit {
	return []limits.Limit{
		limits.New("the data, plus 7 bytes for each of its lines", "max-event-size",
			limits.Size(int64(maxEvent)), "413"),
		limits.New("a topic, a pattern, an id or a type", "", limits.Size(1<<10), "400"),
		limits.New("topics of one event", "", limits.Count(maxEventTopics), "400"),
	}
}

func requestLimits() []limits.Limit {
	const closed = "the connection is closed"
	return []limits.Limit{
		limits.New("topics and patterns of a subscription", "", limits.Count(maxEventTopics), "400"),
		limits.New("events of a batch by POST", "", limits.Count(maxBatchEvents), "413"),
		limits.New("bytes of a batch by POST", "", limits.Size(maxBatchBytes)+
			", or `--max-event-size` if that is more", "413"),
		limits.New("an Idempotency-Key", "", limits.Size(maxKey), "400"),
		limits.New("events of a page (`limit`)", "", limits.Count(maxLimit), "400"),
		limits.New("size of a page", "", limits.Size(pageBytes)+" plus one event",
			"the page ends; the next page continues"),
		limits.New("time for each "+limits.Size(chunkBytes)+" of a page", "",
			limits.Duration(chunkTimeout), closed),
		limits.New("time for a page", "", limits.Duration(pageGrace)+" plus 1 second for each "+
			limits.Size(pageRate)+", at most "+limits.Duration(maxPageTimeout),
			closed),
		limits.New("`since=-N`", "", "1,000,000,000", "400"),
		limits.New("request headers", "", limits.Size(maxHeader), "431"),
		limits.New("time for the request headers", "", limits.Duration(headTimeout), closed),
		limits.New("time for a body, except lines (PUT, `split=lines`)", "",
			limits.Duration(bodyTimeout), "408"),
		limits.New("idle time between two requests", "", limits.Duration(idleTimeout), closed),
	}
}
