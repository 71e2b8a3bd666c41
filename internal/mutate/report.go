package main

import (
	"bytes"
	"fmt"
	"os"
	"time"
)

// report has the mutants of a run and their outcomes.
type report struct {
	config
	out         *bytes.Buffer
	mutants     []*mutant          // the mutants of the selected share
	equivalents map[*mutant]*entry // entries of the list of equivalent mutants
	stale       []*entry           // entries that match no mutant
	outcomes    map[*mutant]outcome
	duration    time.Duration
}

// test runs the tests with the mutants of the report, and sets their outcomes. all
// are the mutants of all shares: the test program contains them all, so that it does
// not depend on the share.
func (r *report) test(s *source, all []*mutant) error {
	began := time.Now()
	scratch, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	covered, err := s.measure(scratch)
	if err != nil {
		return err
	}
	t, err := newTester(s, all, scratch)
	if err != nil {
		return err
	}
	r.outcomes = map[*mutant]outcome{}
	for _, m := range r.mutants {
		switch {
		case r.equivalents[m] != nil && !r.recheck:
			r.outcomes[m] = equivalent
		case !covered.covers(s, m):
			r.outcomes[m] = notCovered
		}
	}
	n := len(r.outcomes)
	t.testAll(r.mutants, r.outcomes, func() {
		if n++; n%100 == 0 {
			fmt.Fprintf(os.Stderr, "mutate: %d of %d mutants, after %v\n", n, len(r.mutants),
				time.Since(began).Round(time.Second))
		}
	})
	r.duration = time.Since(began)
	return nil
}

// list prints the mutants, without their outcomes.
func (r *report) list() {
	for _, m := range r.mutants {
		r.printMutant(m, m.kind)
	}
	fmt.Fprintf(r.out, "%d mutants\n", len(r.mutants))
	r.printStale()
}

// printMutant prints a mutant with a remark.
func (r *report) printMutant(m *mutant, remark string) {
	fmt.Fprintf(r.out, "%s:%d: %s\n%s\n", m.key.file, m.line, remark, m.key)
}

func (r *report) printStale() {
	for _, e := range r.stale {
		fmt.Fprintf(r.out, "%s:%d: this entry matches no mutant; remove or correct it\n%s\n",
			equivalents, e.line, e.key)
	}
}

// print prints the mutants that survived or were not covered, and a summary. It
// reports whether there are none, the list of equivalent mutants is correct, and
// enough mutants were killed.
func (r *report) print() bool {
	count := map[outcome]int{}
	unwanted := len(r.stale)
	for _, m := range r.mutants {
		o := r.outcomes[m]
		entry := r.equivalents[m]
		switch {
		case entry != nil && (o == killed || o == timedOut):
			r.printMutant(m, string(o)+", although "+equivalents+" lists it")
			unwanted++
		case entry != nil:
			o = equivalent
		case o == survived || o == notCovered:
			r.printMutant(m, m.kind+": "+string(o))
			unwanted++
		}
		count[o]++
	}
	r.printStale()
	total := len(r.mutants) - count[broken]
	dead := count[killed] + count[timedOut]
	rate := 100.0
	if total > 0 {
		rate = 100 * float64(dead) / float64(total)
	}
	fmt.Fprintf(r.out, "%s: %d mutants: %d killed (%d by the time limit), %d survived, "+
		"%d not covered, %d equivalent; %.1f %% killed in %v\n", r.pattern, total, dead,
		count[timedOut], count[survived], count[notCovered], count[equivalent], rate,
		r.duration.Round(time.Second))
	if rate < r.minimum {
		fmt.Fprintf(r.out, "at least %g %% must be killed\n", r.minimum)
	}
	return unwanted == 0 && rate >= r.minimum
}
