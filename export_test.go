package sse

// For tests, which are outside of the package.
var (
	CheckTopic   = checkTopic
	RequestStart = requestStart
)
