package sse

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// configError reports the invalid fields of a Broker.
type configError struct {
	fields []error // one for each field; the text begins with the field's name
}

func (e *configError) Error() string {
	texts := make([]string, len(e.fields))
	for i, err := range e.fields {
		texts[i] = err.Error()
	}
	return "sse: " + strings.Join(texts, "; ")
}

func (e *configError) Unwrap() []error { return e.fields }

// add adds a field that breaks a rule. value is the value of the field, or a text
// or an error that says what is wrong with it.
func (e *configError) add(field, rule string, value any) {
	format := "%s %s: %v"
	if _, ok := value.(error); ok {
		format = "%s %s: %w"
	}
	e.fields = append(e.fields, fmt.Errorf(format, field, rule, value))
}

// checkNotNegative adds the field to e if its value is negative.
func checkNotNegative[T cmp.Ordered](e *configError, field string, value T) {
	var zero T
	if value < zero {
		e.add(field, "must not be negative", value)
	}
}

func checkTopicRetention(e *configError, prefix string, r *TopicRetention) {
	if r.Pattern == (Pattern{}) {
		e.add(prefix+"Pattern", "must be set", "the zero Pattern matches no topic")
	}
	checkNotNegative(e, prefix+"Events", r.Events)
	checkNotNegative(e, prefix+"Bytes", r.Bytes)
	checkNotNegative(e, prefix+"Age", r.Age)
}

func checkStreamOptions(e *configError, prefix string, o *StreamOptions) {
	checkNotNegative(e, prefix+"Retry", o.Retry)
	opts := o.acceptOptions(nil)
	if _, err := opts.heartbeatBytes(); err != nil { // its text begins with the field's name
		e.fields = append(e.fields, fmt.Errorf("%s%w", prefix, err))
	}
	if o.Final != nil {
		if err := o.Final.check(); err != nil {
			e.add(prefix+"Final", "must be a valid event", err)
		}
	}
}

// err returns e, or nil if no field is invalid.
func (e *configError) err() error {
	if len(e.fields) == 0 {
		return nil
	}
	return e
}

// isConfigError reports whether err says that the broker's fields are invalid.
func isConfigError(err error) bool {
	var e *configError
	return errors.As(err, &e)
}
