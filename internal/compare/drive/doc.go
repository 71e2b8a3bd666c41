// Package drive is what the programs that measure servers have in common: they
// start processes of their own for the server and for its subscribers, tell them
// what to do, and read what it costs.
package drive
