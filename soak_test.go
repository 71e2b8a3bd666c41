package sse_test

import "os"

// soak makes some tests as large as the issues ask for: make soak.
var soak = os.Getenv("SSE_TEST_SOAK") != ""
