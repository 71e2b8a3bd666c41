package main

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"
)

// parseListen parses the arguments of sse listen.
func parseListen(env map[string]string, args ...string) (listenOptions, []string, error) {
	o := listenOptions{retry: time.Second, maxEventSize: 1 << 20}
	s := newSettings("listen")
	o.define(s)
	operands, err := s.parse(args, func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	return o, operands, err
}

func TestFlagsBeforeAndAfterOperands(t *testing.T) {
	for _, line := range []string{
		"--count 3 --json url",
		"url --count 3 --json",
		"--count=3 url --json",
		"-count 3 url -json=true",
		"--json --count 3 -- url",
		"--json --count 1 --count 3 url",
	} {
		o, operands, err := parseListen(nil, strings.Fields(line)...)
		if err != nil || o.count != 3 || !o.json || !slices.Equal(operands, []string{"url"}) {
			t.Errorf("%s: count %d, json %t, operands %q, error %v; want 3, true, [url], nil",
				line, o.count, o.json, operands, err)
		}
	}
	o, operands, err := parseListen(nil, "-d", "--", "-H", "A: b", "-", "--", "--json", "-H")
	if o.data != "--" || o.json || err != nil || o.header.header.Get("A") != "b" ||
		!slices.Equal(operands, []string{"-", "--json", "-H"}) {
		t.Errorf("data %q, json %t, header %v, operands %q, error %v",
			o.data, o.json, o.header.header, operands, err)
	}
}

func TestEnvironmentVariables(t *testing.T) {
	env := map[string]string{
		"SSE_LISTEN_TYPE":           "a\nb\n",
		"SSE_LISTEN_HEADER":         "A: 1\nB: 2",
		"SSE_LISTEN_RETRY":          "5s",
		"SSE_LISTEN_COUNT":          "",
		"SSE_LISTEN_MAX_EVENT_SIZE": "64k",
		"SSE_LISTEN_JSON":           "1",
	}
	o, _, err := parseListen(env, "--retry", "2s", "-H", "C: 3")
	if err != nil {
		t.Fatal(err)
	}
	if got := []string(o.types); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("types %q, want a and b", got)
	}
	if o.retry != 2*time.Second {
		t.Errorf("retry %v, want 2s: a flag must override its variable", o.retry)
	}
	// If arguments set a repeatable flag, even by its short name, its variable is
	// ignored.
	if got := o.header.header; len(got) != 1 || got.Get("C") != "3" {
		t.Errorf("header %v, want only C: 3", got)
	}
	if o.maxEventSize != 64<<10 || !o.json || o.count != 0 {
		t.Errorf("size %d, json %t, count %d; want 65536, true, 0", o.maxEventSize, o.json, o.count)
	}
}

// Every flag is on the help page, with its default and its environment
// variable.
func TestHelpIsComplete(t *testing.T) {
	for _, command := range []struct {
		name, intro string
		define      func(*settings)
	}{
		{"listen", listenIntro, (&listenOptions{}).define},
		{"serve", serveIntro, (&serveOptions{}).define},
		{"send", sendIntro, (&sendOptions{}).define},
	} {
		t.Run(command.name, func(t *testing.T) {
			s := newSettings(command.name)
			command.define(s)
			checkHelp(t, s, s.help(command.intro))
		})
	}
}

func checkHelp(t *testing.T, s *settings, page string) {
	s.flags.VisitAll(func(f *flag.Flag) {
		if len(f.Name) == 1 {
			if !strings.Contains(page, "\n  -"+f.Name+", --"+f.Usage+" ") {
				t.Errorf("-%s is not on the page", f.Name)
			}
			return
		}
		if !strings.Contains(page, "--"+f.Name+" ") ||
			!strings.Contains(page, "["+s.variable(f.Name)+", default ") {
			t.Errorf("--%s is not on the page", f.Name)
		}
	})
	for _, zero := range []string{"default 0", "default false", "default ]"} {
		if strings.Contains(page, zero) {
			t.Errorf("the page contains %q, want a word", zero)
		}
	}
	for line := range strings.Lines(page) {
		if len(line) > 100 {
			t.Errorf("line has more than 100 bytes: %s", line)
		}
	}
}
