// Package behaviour runs the same cases against every library, and writes the
// results to docs/BEHAVIOUR.md. The test fails if the file differs from the results.
// It does not fail because a library fails a case: the file shows this.
//
//	go test ./behaviour            compares the results with the file
//	go test ./behaviour -update    writes the file
package behaviour
