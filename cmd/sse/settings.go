package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// settings are the flags of one command on top of a flag.FlagSet, which keeps
// names, values and defaults. It adds what package flag has not: flags after
// arguments, an environment variable for each, groups, and hints.
type settings struct {
	flags  *flag.FlagSet
	prefix string // of environment variables: SSE_LISTEN_
	groups []group
	given  map[string]bool // long names of flags on the command line, or in the environment
}

// group is a titled part of a help page.
type group struct {
	title string
	names []string // long names of its flags, in order
}

// repeatable is implemented by flag values that collect; their environment
// variable holds one value a line.
type repeatable interface{ repeats() }

// errHelp asks for the help page.
var errHelp = errors.New("help")

func newSettings(command string) *settings {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	prefix := "SSE_" + strings.ToUpper(command) + "_"
	return &settings{flags: flags, prefix: prefix, given: map[string]bool{}}
}

// group starts a titled part of the help page.
func (s *settings) group(title string) {
	s.groups = append(s.groups, group{title: title})
}

// add defines a flag in the last group. Names is its long name and perhaps a
// short one, as in "header,H". P points to a bool, int, string or duration
// that holds the default, or is a flag.Value. Usage names the argument in
// backquotes, as package flag has it.
func (s *settings) add(p any, names, usage string) {
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

// parse sets flags from args, then what is left from the environment, and
// returns the arguments that are no flags. What follows "--" is no flag.
func (s *settings) parse(args []string, env lookup) (operands []string, err error) {
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

// parseFlag sets the flag that arg names; its value may be the first of args.
// It returns the args that are left.
func (s *settings) parseFlag(arg string, args []string) (rest []string, err error) {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	if name == "h" || name == "help" {
		return nil, errHelp
	}
	f := s.flags.Lookup(name)
	if f == nil {
		return nil, s.unknownFlag(arg, name)
	}
	spelled, _, _ := strings.Cut(arg, "=")
	if !hasValue {
		switch boolean, ok := f.Value.(interface{ IsBoolFlag() bool }); {
		case ok && boolean.IsBoolFlag():
			value = "true"
		case len(args) == 0:
			return nil, misuse(s.seeHelp(), "%s needs a value", spelled)
		default:
			value, args = args[0], args[1:]
		}
	}
	s.given[s.longName(f)] = true
	if err := f.Value.Set(value); err != nil {
		return nil, invalidValue(f, spelled+" "+value, err)
	}
	return args, nil
}

// parseEnv sets the flags that the command line has not from the environment.
func (s *settings) parseEnv(env lookup) error {
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
					return invalidValue(f, variable+"="+value, err)
				}
			}
			s.given[name] = true
		}
	}
	return nil
}

// longName returns the name that f is listed under: the usage of a short flag
// is the name of its long one.
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

func (s *settings) seeHelp() string {
	return fmt.Sprintf("sse %s -h shows every flag", s.flags.Name())
}

// unknownFlag names the flag that was probably meant.
func (s *settings) unknownFlag(arg, name string) *failure {
	var names []string
	for _, g := range s.groups {
		names = append(names, g.names...)
	}
	spelled, _, _ := strings.Cut(arg, "=") // its value may be a secret
	hint, short := s.seeHelp(), s.flags.Lookup(name[:min(1, len(name))])
	if !strings.HasPrefix(arg, "--") && short != nil && len(short.Name) == 1 && name != "" {
		// curl takes -XPOST, package flag does not.
		argument, _ := flag.UnquoteUsage(s.flags.Lookup(s.longName(short)))
		hint = fmt.Sprintf("-%s and its value are two words: -%s %s", short.Name, short.Name, argument)
		spelled = "-" + short.Name + "…"
	} else if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean --%s?", near)
	}
	return misuse(hint, "unknown flag %s", spelled)
}

// invalidValue says what form a value has to have.
func invalidValue(f *flag.Flag, setting string, err error) *failure {
	hint := ""
	getter, _ := f.Value.(flag.Getter)
	if getter == nil {
		return misuse(hint, "%s: %v", setting, err)
	}
	switch getter.Get().(type) {
	case time.Duration:
		const hint = "a number with a unit, as in 500ms, 10s or 1m30s"
		return misuse(hint, "%s: not a duration", setting)
	case int:
		return misuse("", "%s: not a whole number", setting)
	case bool:
		return misuse("true or false", "%s: neither true nor false", setting)
	}
	return misuse(hint, "%s: %v", setting, err)
}

// help is the page of "sse COMMAND -h": intro, then every setting.
func (s *settings) help(intro string) string {
	var b strings.Builder
	b.WriteString(intro)
	for _, g := range s.groups {
		fmt.Fprintf(&b, "\n%s\n", g.title)
		for _, name := range g.names {
			s.helpFlag(&b, s.flags.Lookup(name))
		}
	}
	return b.String()
}

func (s *settings) helpFlag(b *strings.Builder, f *flag.Flag) {
	argument, usage := flag.UnquoteUsage(f)
	spelled := "    --" + f.Name
	s.flags.VisitAll(func(other *flag.Flag) {
		if len(other.Name) == 1 && other.Usage == f.Name {
			spelled = "-" + other.Name + ", --" + f.Name
		}
	})
	if _, ok := f.Value.(repeatable); ok {
		usage += "; may be repeated"
	}
	fmt.Fprintf(b, "  %-27s %s\n", strings.TrimRight(spelled+" "+argument, " "), usage)
	fmt.Fprintf(b, "  %-27s [%s, default %s]\n", "", s.variable(f.Name), defaultText(f.DefValue))
}

// defaultText says a default in words where its zero would puzzle.
func defaultText(value string) string {
	switch value {
	case "", "0", "0s":
		return "none"
	case "false":
		return "off"
	}
	return value
}

// stringsFlag collects the values of a flag that may be repeated. It takes
// anything.
type stringsFlag []string

func (f *stringsFlag) String() string { return strings.Join(*f, ", ") }
func (f *stringsFlag) repeats()       {}
func (f *stringsFlag) Set(value string) error {
	*f = append(*f, value)
	return nil
}

// has reports whether the flag was given this value, or not given at all.
func (f stringsFlag) has(value string) bool {
	return len(f) == 0 || slices.Contains(f, value)
}
