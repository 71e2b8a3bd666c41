// Package mutants contains only tests. They check that the resume property (see
// internal/property) fails when the broker or the client is wrong.
//
// A mutant is a small change of the source that a programmer could make by mistake:
// a loop that ends one event too early, a gap that is not sent, an ID that is
// recorded too early. The option -overlay of the go command compiles the mutated
// file instead of the original file. With a mutant, the property must fail within a
// bounded number of steps, with held streams or with parked streams. It must hold
// with both if there is no mutant. If a mutant survives, there is an error that the
// property does not find.
//
//	make mutants
//
// runs the property with each mutant, and takes some minutes. Otherwise, the tests
// only check that the source still contains the text that each mutant changes.
package mutants
