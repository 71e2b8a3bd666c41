package main

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/hub"
)

// parseListen parses a command line of sse listen.
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

func TestFlagsAnywhere(t *testing.T) {
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
			t.Errorf("%s: count %d, json %t, operands %q, error %v",
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

func TestEnvironment(t *testing.T) {
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
		t.Errorf("types %q", got)
	}
	if o.retry != 2*time.Second {
		t.Errorf("retry %v: the command line must win", o.retry)
	}
	// A flag that repeats replaces the variable, also by its short name.
	if got := o.header.header; len(got) != 1 || got.Get("C") != "3" {
		t.Errorf("header %v", got)
	}
	if o.maxEventSize != 64<<10 || !o.json || o.count != 0 {
		t.Errorf("size %d, json %t, count %d", o.maxEventSize, o.json, o.count)
	}
}

// Every flag is on the help page, with its default and its variable.
// In memory the limit of bytes is the broker's, unless one is set, wherever that is,
// and if it is the default of what is on disk.
func TestKeepBytesInMemory(t *testing.T) {
	for _, tt := range []struct {
		env  string
		args []string
		want int64
	}{
		{"", nil, 0},
		{"1GiB", nil, 1 << 30},
		{"", []string{"--keep-bytes", "1GiB"}, 1 << 30},
		{"2GiB", []string{"--keep-bytes", "1MiB"}, 1 << 20},
	} {
		o := serveOptions{data: hub.Memory, keepBytes: 1 << 30, heartbeat: time.Second}
		s := newSettings("serve")
		o.define(s)
		_, err := s.parse(tt.args, func(name string) (string, bool) {
			return tt.env, name == "SSE_SERVE_KEEP_BYTES"
		})
		if err != nil {
			t.Fatal(err)
		}
		config, err := o.config(s.given["keep-bytes"])
		if err != nil {
			t.Fatal(err)
		}
		got := int64(0)
		if len(config.Retention) > 0 {
			got = config.Retention[0].Bytes
		}
		if got != tt.want {
			t.Errorf("%q %q: %d bytes, want %d", tt.env, tt.args, got, tt.want)
		}
	}
}

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
			testHelp(t, s, s.help(command.intro))
		})
	}
}

func testHelp(t *testing.T, s *settings, page string) {
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
	for line := range strings.Lines(page) {
		if len(line) > 100 {
			t.Errorf("too wide: %s", line)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{
		"count", "timeout", "idle-timeout", "json", "type", "retry", "max-retry", "raw",
	}
	for word, want := range map[string]string{
		"cuont": "count", "Count": "count", "timout": "timeout", "tiemout": "timeout",
		"jsno": "json", "types": "type", "idle": "idle-timeout", "max": "max-retry",
		"rwa": "raw", "x": "", "banana": "", "": "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int{
		"1": 1, "65536": 65536, "64k": 65536, "64K": 65536, "64KB": 65536, "64KiB": 65536,
		"16MiB": 16 << 20, "1g": 1 << 30, "7b": 7,
	} {
		var size sizeFlag
		if err := size.Set(text); err != nil || int(size) != want {
			t.Errorf("Set(%q): %d, %v; want %d", text, size, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "-1", "x", "1.5k", "k", "1kk", "1 k", "9g", "99999999999",
	} {
		var size sizeFlag
		if err := size.Set(text); err == nil {
			t.Errorf("Set(%q): %d, want an error", text, size)
		}
	}
	if got, want := (*sizeFlag)(new(int)).String(), "0bytes"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestOptionsThatContradict(t *testing.T) {
	for line, want := range map[string]string{
		"--raw --json":       "--raw and --json exclude each other",
		"--raw --type a":     "--raw prints the stream as it comes; --type cannot choose from it",
		"--count -1":         "--count -1 is negative",
		"--retry 0s":         "--retry 0s is too short",
		"--timeout -1s":      "--timeout -1s is too short",
		"--idle-timeout -1s": "--idle-timeout -1s is too short",
		"-X a,b":             `-X "a,b" is not a method`,
	} {
		o, operands, err := parseListen(nil, strings.Fields(line+" :3000")...)
		if err != nil {
			t.Fatal(err)
		}
		var f *failure
		_, err = o.target(operands)
		if !errors.As(err, &f) || f.message != want || f.code != exitUsage {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
}
