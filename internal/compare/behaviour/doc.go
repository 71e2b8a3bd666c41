// Package behaviour runs the same cases against every library and writes the
// results to docs/BEHAVIOUR.md. The test fails if this library fails a case, or
// if the file differs from the results. It does not fail if another library
// fails.
//
//	go test ./behaviour            compares the results with the file
//	go test ./behaviour -update    writes the file
package behaviour
