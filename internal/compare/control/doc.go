// Package control is shared by the processes of the comparison. It has the content
// of the events, which the load client checks, a clock that all processes share, a
// histogram, and the lines that the processes exchange.
//
// The coordinator is the program that measures, for example broker. It starts the
// server and the load client. Each of these reads commands from its standard input
// and replies on its standard output. A command is one line, and so is a reply. The
// processes end at the end of their input, so they do not survive the coordinator.
package control
