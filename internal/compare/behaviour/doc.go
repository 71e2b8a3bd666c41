// Package behaviour runs the same cases against every library and writes who
// passes what into docs/BEHAVIOUR.md. A peer never fails the test; a cell of
// ours does, and so does a table that is not what was found.
//
//	go test ./behaviour            compares the table with the file
//	go test ./behaviour -update    writes the file
package behaviour
