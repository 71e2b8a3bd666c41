package sse

import (
	"encoding/json"
	"strconv"
)

// typeGap is the type of an event whose data is a [Gap].
const typeGap = reservedPrefix + "gap"

// Gap reports that events which a subscriber asked for are no longer available.
// The subscriber receives the Gap as an event of type "sse.gap". The data of
// this event is the Gap as JSON, and the ID of this event is the position from
// which the stream continues:
//
//	if event.Type == "sse.gap" {
//		gap, err := sse.Decode[sse.Gap](event)
//		…
//	}
//
// The gap precedes the events after Asked that are still available, unless a policy
// leaves them out: [LossNew], [LagSkip] or [LagLatest].
type Gap struct {
	// Asked is the ID or position after which events are missing. Either the
	// subscriber sent Asked when it connected, or it had received all events up to
	// Asked.
	Asked string `json:"asked"`

	// Available is the position after which all events are still available.
	Available string `json:"available"`

	// Why is the reason.
	Why GapReason `json:"why"`
}

// GapReason is the reason of a [Gap].
type GapReason string

// The reasons of a gap.
const (
	GapTrimmed GapReason = "trimmed" // retention or Broker.Forget has removed the events
	GapUnknown GapReason = "unknown" // no retained event of the selected topics has the ID
	GapEpoch   GapReason = "epoch"   // the position belongs to another lifetime of the log
	GapFuture  GapReason = "future"  // the position is after the end of the log
	GapCheck   GapReason = "check"   // the log now has another event at the position
	GapLagging GapReason = "lagging" // the subscriber was too slow
)

// marshal returns the Gap as JSON.
func (g *Gap) marshal() string {
	data, _ := json.Marshal(g) // never fails, because all fields are strings
	return string(data)
}

// Error makes *Gap an error. [Broker.Subscribe] yields a *Gap as the error if the
// policy is [LossRefuse]. [DecodeEvents] yields a *Gap as the error if onGap is nil.
func (g *Gap) Error() string {
	return "sse: gap after " + strconv.Quote(shorten(g.Asked)) + ": " + string(g.Why)
}
