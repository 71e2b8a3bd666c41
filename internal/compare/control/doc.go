// Package control is shared by the processes of the comparison. It has the
// event whose number and time the load client checks, a clock that all
// processes share, a histogram, and the lines that the processes exchange.
//
// Every process reads commands from its standard input and replies on its
// standard output, one line each. It ends at the end of its input, so it does
// not survive the coordinator that started it.
package control
