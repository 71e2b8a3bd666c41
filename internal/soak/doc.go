// Package soak contains only tests and benchmarks. The tests start processes,
// open thousands of streams on real sockets, exhaust descriptors, and make
// peers vanish in network namespaces.
//
// By default each test has a moderate size; with -short it is smaller. In the root
// of the repository,
//
//	make soak
//
// runs most of them at full size, for about an hour, and
//
//	make stall
//
// runs the benchmarks.
package soak
