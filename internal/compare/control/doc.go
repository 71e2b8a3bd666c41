// Package control is what the processes of the broker's comparison have in
// common: the event whose number and time the load client checks, the clock they
// share, the histogram they add up, and the lines they tell each other.
//
// Every process reads commands from its standard input and answers on its
// standard output, a line each, and ends when its input does: so none outlives
// the coordinator that started it.
package control
