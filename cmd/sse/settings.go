package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
)

// settings are the flags of one command. Their names, values and defaults are in a
// flag.FlagSet. Unlike in package flag, flags may follow arguments, each flag has an
// environment variable, the help page has groups, and errors have hints.
type settings struct {
	flags  *flag.FlagSet
	prefix string // of the environment variables, for example SSE_LISTEN_
	groups []flagGroup
	given  map[string]bool   // long names of the flags set by an argument or by the environment
	hints  map[string]string // the hint for a flag that does not exist, by its name
}

// flagGroup is a part of a help page, under its own title.
type flagGroup struct {
	title string
	names []string // long names of its flags, in order
}

// repeatable is implemented by flag values that collect several values. Their
// environment variable holds one value per line.
type repeatable interface{ isRepeatable() }

// confidential is implemented by flag values that may contain a secret. The error for
// an invalid value does not quote the value.
type confidential interface{ isConfidential() }

// errHelp is the error of parse if the arguments ask for the help page.
var errHelp = errors.New("help requested")

func newSettings(command string) *settings {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	prefix := "SSE_" + strings.ToUpper(strings.ReplaceAll(command, " ", "_")) + "_"
	return &settings{
		flags: flags, prefix: prefix, given: map[string]bool{}, hints: map[string]string{},
	}
}

// addGroup starts a new group on the help page.
func (s *settings) addGroup(title string) {
	s.groups = append(s.groups, flagGroup{title: title})
}

// addHint sets the hint in the error for an unknown flag with one of these names. Users
// may try the names because other programs have flags with these names.
func (s *settings) addHint(hint string, names ...string) {
	for _, name := range names {
		s.hints[name] = hint
	}
}

// addFlag defines a flag in the last group. Names is its long name, which a
// short name may follow, for example "header,H". P points to a bool, int,
// string or duration that holds the default, or is a flag.Value. Usage names
// the argument in backquotes, as in package flag.
func (s *settings) addFlag(p any, names, usage string) {
	long, short, _ := strings.Cut(names, ",")
	switch p := p.(type) {
	case *bool:
		s.flags.BoolVar(p, long, *p, usage)
	case *int:
		s.flags.IntVar(p, long, *p, usage)
	case *string:
		s.flags.StringVar(p, long, *p, usage)
	case *time.Duration:
		s.flags.DurationVar(p, long, *p, usage)
	case flag.Value:
		s.flags.Var(p, long, usage)
	}
	if short != "" {
		s.flags.Var(s.flags.Lookup(long).Value, short, long)
	}
	last := &s.groups[len(s.groups)-1]
	last.names = append(last.names, long)
}

// parse sets flags from args. It then sets each other flag from its environment
// variable, if this variable is not empty. It returns the operands: the arguments that
// are neither flags nor their values. Every argument after "--" is an operand.
func (s *settings) parse(args []string, env lookupEnv) (operands []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			operands = append(operands, args...)
			break
		}
		if arg == "-" || !strings.HasPrefix(arg, "-") {
			operands = append(operands, arg)
			continue
		}
		if args, err = s.parseFlag(arg, args); err != nil {
			return nil, err
		}
	}
	return operands, s.parseEnv(env)
}

// parseFlag sets the flag that arg names. The value of the flag follows "=" in arg.
// Without "=", a boolean flag is true, and the value of another flag is args[0].
// parseFlag returns the arguments that remain.
func (s *settings) parseFlag(arg string, args []string) (rest []string, err error) {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	if name == "h" || name == "help" {
		return nil, errHelp
	}
	f := s.flags.Lookup(name)
	if f == nil {
		return nil, s.unknownFlag(arg, name)
	}
	spelling, _, _ := strings.Cut(arg, "=")
	if !hasValue {
		switch boolean, ok := f.Value.(interface{ IsBoolFlag() bool }); {
		case ok && boolean.IsBoolFlag():
			value = "true"
		case len(args) == 0:
			return nil, usageError(s.helpHint(), "%s must have a value", spelling)
		default:
			value, args = args[0], args[1:]
		}
	}
	s.given[s.longName(f)] = true
	if err := f.Value.Set(value); err != nil {
		return nil, invalidValue(f, spelling, " "+value, err)
	}
	return args, nil
}

// parseEnv sets flags from the environment, except the flags that the arguments have
// set. It ignores empty variables.
func (s *settings) parseEnv(env lookupEnv) error {
	for _, g := range s.groups {
		for _, name := range g.names {
			variable := s.variable(name)
			text, ok := env(variable)
			if !ok || text == "" || s.given[name] {
				continue
			}
			f, values := s.flags.Lookup(name), []string{text}
			if _, ok := f.Value.(repeatable); ok {
				values = strings.Split(strings.TrimRight(text, "\n"), "\n")
			}
			for _, value := range values {
				if err := f.Value.Set(value); err != nil {
					return invalidValue(f, variable, "="+value, err)
				}
			}
			s.given[name] = true
		}
	}
	return nil
}

// longName returns the long name of f. For a short flag, addFlag has stored the
// long name as the usage text.
func (s *settings) longName(f *flag.Flag) string {
	if len(f.Name) == 1 {
		return f.Usage
	}
	return f.Name
}

// variable returns the environment variable of the flag with this long name.
func (s *settings) variable(name string) string {
	return s.prefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func (s *settings) helpHint() string {
	return fmt.Sprintf("to print every flag, run sse %s -h", s.flags.Name())
}

// unknownFlag returns the failure for arg, a flag that does not exist. Name is arg
// without its dashes and its value. The hint explains the most likely mistake, for
// example a wrong spelling.
func (s *settings) unknownFlag(arg, name string) *failure {
	var names []string
	for _, g := range s.groups {
		names = append(names, g.names...)
	}
	dashes := "-"
	if strings.HasPrefix(arg, "--") {
		dashes = "--"
	}
	spelling := dashes + name
	hint, short := s.helpHint(), s.flags.Lookup(name[:min(1, len(name))])
	if dashes == "-" && short != nil && len(short.Name) == 1 && name != "" {
		// The user may have written -XPOST, which curl accepts.
		argument, _ := flag.UnquoteUsage(s.flags.Lookup(s.longName(short)))
		hint = fmt.Sprintf("put a space between -%s and its value: -%s %s",
			short.Name, short.Name, argument)
		spelling = "-" + short.Name + "…"
	} else if other, ok := s.hints[name]; ok {
		hint = other
	} else if match := findNearest(name, names); match != "" {
		hint = fmt.Sprintf("did you mean --%s?", match)
	} else {
		spelling = dashes + shortenFlag(dashes, name)
	}
	return usageError(hint, "unknown flag %s", spelling)
}

// shortenFlag returns the beginning of name, an unknown flag. It leaves out the rest,
// because the rest may be a secret: for example in -uUSER:PASSWORD, which curl accepts,
// or in --key:SECRET.
func shortenFlag(dashes, name string) string {
	letters := 0
	for i, r := range name {
		if !unicode.IsLetter(r) && r != '-' || dashes == "-" && letters == 1 {
			return name[:i] + "…"
		}
		letters++
	}
	return name
}

// invalidValue returns the failure for a value that f does not accept. Setting is the
// flag or the variable, for example "--count", and value follows it, for example " x".
func invalidValue(f *flag.Flag, setting, value string, err error) *failure {
	if _, ok := f.Value.(confidential); !ok && len(value) > 1 {
		setting += value
	}
	getter, _ := f.Value.(flag.Getter)
	if getter == nil {
		return usageError("", "%s: %v", setting, err)
	}
	switch getter.Get().(type) {
	case time.Duration:
		const hint = "add a unit, for example 500ms, 10s or 1m30s"
		return usageError(hint, "%s: must be a duration", setting)
	case int:
		return usageError("", "%s: must be a whole number", setting)
	case bool:
		return usageError("", "%s: must be true or false", setting)
	}
	return usageError("", "%s: %v", setting, err)
}

// help returns the page of "sse COMMAND -h": the introduction, then every flag.
func (s *settings) help(intro string) string {
	var b strings.Builder
	b.WriteString(intro)
	for _, g := range s.groups {
		fmt.Fprintf(&b, "\n%s\n", g.title)
		for _, name := range g.names {
			s.writeFlagHelp(&b, s.flags.Lookup(name))
		}
	}
	return b.String()
}

// usageColumn is the column in which the usage texts of a help page begin.
// usageWidth is the length of their longest line. Both count characters.
const usageColumn, usageWidth = 31, 68

// writeFlagHelp writes a flag with its usage, its environment variable and its
// default.
func (s *settings) writeFlagHelp(b *strings.Builder, f *flag.Flag) {
	argument, usage := flag.UnquoteUsage(f)
	spelling := "    --" + f.Name
	s.flags.VisitAll(func(other *flag.Flag) {
		if len(other.Name) == 1 && other.Usage == f.Name {
			spelling = "-" + other.Name + ", --" + f.Name
		}
	})
	source := fmt.Sprintf("[%s, default %s]", s.variable(f.Name), formatDefault(f.DefValue))
	if _, ok := f.Value.(repeatable); ok {
		source = strings.TrimSuffix(source, "]") + ", may be repeated; one per line]"
	}
	left := "  " + strings.TrimRight(spelling+" "+argument, " ")
	for _, line := range append(wrap(usage, usageWidth), source) {
		fmt.Fprintf(b, "%-*s%s\n", usageColumn, left, line)
		left = ""
	}
}

// wrap splits text at its spaces into lines of at most width characters.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

// formatDefault returns a default value as text. A zero value becomes a word,
// because its own text would be unclear.
func formatDefault(value string) string {
	switch value {
	case "", "0", "0s":
		return "none"
	case "false":
		return "off"
	}
	return value
}

// stringsFlag collects the values of a flag that may be repeated. It accepts
// every value.
type stringsFlag []string

func (f *stringsFlag) String() string { return strings.Join(*f, ", ") }
func (f *stringsFlag) isRepeatable()  {}

// Set implements [flag.Value].
func (f *stringsFlag) Set(value string) error {
	*f = append(*f, value)
	return nil
}

// selects reports whether value is one of the flag's values. A flag without
// values selects every value.
func (f stringsFlag) selects(value string) bool {
	return len(f) == 0 || slices.Contains(f, value)
}

// nonEmptyFlag is a text that must not be empty: a script may have passed a variable
// that is not set.
type nonEmptyFlag string

func (f *nonEmptyFlag) String() string { return string(*f) }

// Set implements [flag.Value].
func (f *nonEmptyFlag) Set(value string) error {
	if value == "" {
		return errors.New("must not be empty")
	}
	*f = nonEmptyFlag(value)
	return nil
}
