package sse

// These variables give private functions to the tests in package sse_test.
var (
	CheckTopic   = checkTopic
	RequestStart = requestStart
	LastEventID  = (*Decoder).lastEventID
)
