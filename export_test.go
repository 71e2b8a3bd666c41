package sse

// These variables make private functions available to the tests in package sse_test.
var (
	CheckTopic   = checkTopic
	RequestStart = requestStart
	LastEventID  = (*Decoder).lastEventID
)
