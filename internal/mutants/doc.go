// Package mutants has only tests: does the resume property of package sse notice
// when the broker, or the client, is wrong?
//
// A mutant is a small change of the source that is an error one may well make:
// off by one at either end, a gap swallowed, an id noted too early. Each is put
// in the place of the file with the option -overlay of the go command, and the
// property must then fail within a bounded number of steps. One that survives
// shows what the property does not look at.
//
//	make mutants
//
// takes some minutes. Without it, it is only checked that every mutant still has
// the text that it changes.
package mutants
