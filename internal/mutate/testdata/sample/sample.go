// Package sample is a package with tests that miss some of its mutants.
package sample

import "errors"

const limit = 4

var names = []string{"a", "b"}

// Sum adds the numbers that are in range.
func Sum(numbers ...int) (sum int) {
	for _, n := range numbers {
		if n < 0 || n > limit {
			continue
		}
		sum += n
	}
	return sum
}

// Check returns an error if name is unknown.
func Check(name string) error {
	for _, n := range names {
		if n == name {
			return nil
		}
	}
	return errors.New("unknown")
}

// Max is generic, and has a parameter without a name.
func Max[T int | string](a T, _ bool, rest ...T) T {
	for _, b := range rest {
		a = max(a, b)
	}
	return a
}

// Guard calls f, and reports whether f panics.
func Guard(f func()) (failed bool) {
	defer func() { failed = recover() != nil }()
	f()
	return false
}

// Unused is in no test.
func Unused() bool { return true }

type counter struct{ n int }

func (*counter) name() string { return "counter" }

func (c *counter) add(int) { c.n++ }
