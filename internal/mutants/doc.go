// Package mutants contains only tests. They check that the resume property (see
// internal/property) fails when the broker or the client is wrong.
//
// A mutant is a small change of the source, of a kind that is easily made by
// mistake: off by one at either end, a gap that is not sent, an ID recorded too
// early. The option -overlay of the go command replaces the file with the
// mutated one. Within a bounded number of steps the property must then fail
// with held streams or with parked ones; without a mutant it must hold with
// both. A mutant that survives shows a case that the property does not check.
//
//	make mutants
//
// takes some minutes. Without it, the tests check only that the source still
// contains the text that each mutant changes.
package mutants
