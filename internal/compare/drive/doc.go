// Package drive is shared by the programs that measure servers. It starts
// processes for a server and for its subscribers, sends them commands, and
// reads the cost.
package drive
