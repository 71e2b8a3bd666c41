package main

import "fmt"

// failure is an error as the command reports it to its user. Detail and hint may be
// empty.
type failure struct {
	message string // the error
	detail  string // evidence, for example the body of the response
	hint    string // how to fix it
	code    int    // exit code of the process
}

func (f *failure) Error() string { return f.message }

// usageError returns the failure for a command line that is not valid.
func usageError(hint, format string, args ...any) *failure {
	return &failure{message: fmt.Sprintf(format, args...), hint: hint, code: exitUsage}
}
