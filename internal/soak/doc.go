// Package soak contains only tests and benchmarks. The tests start processes,
// open thousands of streams on real sockets, exhaust descriptors, and make
// peers vanish in network namespaces.
//
// Each test runs at a moderate size, and smaller with -short. In the repository
// root,
//
//	make soak
//
// runs most of them at full size, for about an hour, and
//
//	make stall
//
// runs the benchmarks.
package soak
