package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/auth"
	"github.com/sse-go/sse/cmd/sse/internal/hub"
)

const serveIntro = `usage: sse serve [flags]

Run a hub. What is published to a topic reaches every subscriber of it, and is kept:
a client that comes back gets what it has missed, also after a restart of the hub.

  sse serve
  curl -N localhost:3000/news          # in another console: subscribe
  curl -d hello localhost:3000/news    # and in a third: publish

  sse serve --addr localhost:8080 --data ./events --keep-age 7d
  SSE_SERVE_KEY="backend $(openssl rand -hex 16) publish ** subscribe **" \
      sse serve --addr :3000

On this machine it is open to programs, not to web pages: --cors lets those of an
origin in. On any other address it needs keys. A key is NAME SECRET, and what it may
do: publish PATTERN…, subscribe PATTERN…, delete PATTERN….

Ctrl-C ends it: every stream is told when to come back. A second one ends it at once.
Exit code: 0 done, 1 failed, 2 usage.
`

// serveOptions are the settings of "sse serve".
type serveOptions struct {
	addr, addrFile string
	hosts, origins stringsFlag

	data       string
	keepAge    ageFlag
	keepEvents int
	keepBytes  bytesFlag
	keep       keepFlag
	keyWindow  ageFlag
	lockWait   time.Duration

	keys     stringsFlag
	keyFile  string
	insecure bool

	maxEventSize sizeFlag
	heartbeat    time.Duration
}

// define declares every flag; the defaults are what o holds.
func (o *serveOptions) define(s *settings) {
	s.group("Where it listens")
	s.add(&o.addr, "addr", "listen on `ADDRESS`; localhost is this machine only, :3000 is all")
	s.add(&o.addrFile, "addr-file", "write the address to `FILE` once it serves, as for port 0")
	s.add(&o.hosts, "host", "let it be asked for as `NAME`, as by a proxy")
	s.add(&o.origins, "cors", "let pages of `ORIGIN` in, as in https://example.com")

	s.group("What is kept")
	s.add(&o.data, "data", "keep events in `DIR`, or in memory only")
	s.add(&o.keepAge, "keep-age", "remove events after `AGE`, such as 36h or 7d")
	s.add(&o.keepEvents, "keep-events", "keep the last `N` events; in memory 16384 if 0 or unset")
	s.add(&o.keepBytes, "keep-bytes", "keep the last `SIZE`; 0 for all; in memory 64MiB if 0 or unset")
	s.add(&o.keep, "keep", "of topics, `LIMITS`, as 'room/* age=7d bytes=1MiB'")
	s.add(&o.keyWindow, "idempotency-window", "remember an Idempotency-Key for `AGE`")
	s.add(&o.lockWait, "lock-wait", "wait `DURATION` for another hub to let go of the directory")

	s.group("Who may use it")
	s.add(&o.keys, "key", "let `KEY` in: 'NAME SECRET publish ** subscribe **'")
	s.add(&o.keyFile, "keys", "read keys from `FILE`, one a line, where no process list shows them")
	s.add(&o.insecure, "insecure", "let everybody in who can reach the address")

	s.group("Streams")
	s.add(&o.maxEventSize, "max-event-size", "refuse events over `SIZE`")
	s.add(&o.heartbeat, "heartbeat", "send a byte after a silence of `DURATION`")
}

// serve is "sse serve".
func serve(ctx context.Context, w *world, args []string) int {
	o := serveOptions{
		addr: "localhost:3000", data: dataDir(w.env), keepBytes: 1 << 30,
		keyWindow: ageFlag(24 * time.Hour), maxEventSize: 10 << 20, heartbeat: 15 * time.Second,
		lockWait: 10 * time.Second,
	}
	s := newSettings("serve")
	o.define(s)
	operands, err := s.parse(args, w.env)
	if errors.Is(err, errHelp) {
		return w.ui.page(s.help(serveIntro))
	}
	if err == nil && len(operands) > 0 {
		err = misuse("the address is --addr "+operands[0]+", the directory --data "+operands[0],
			"sse serve takes flags only, not %s", operands[0])
	}
	if err != nil {
		return w.ui.fail(err)
	}
	config, err := o.config(s.given["keep-bytes"])
	if err != nil {
		return w.ui.fail(err)
	}
	l := &hubUI{ui: w.ui}
	config.Logger, config.Ready = slog.New(l), l.ready
	return runHub(ctx, w.ui, l, config)
}

// runHub runs a hub until ctx is done.
func runHub(ctx context.Context, u *ui, l *hubUI, config hub.Config) int {
	h, err := hub.New(config)
	if err != nil {
		return u.fail(asFailure(err, exitUsage))
	}
	defer context.AfterFunc(ctx, func() {
		l.say("", "stopping: every stream is told when to come back")
	})()
	if err := h.Run(ctx); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		return u.fail(asFailure(err, exitFailed))
	}
	return exitDone
}

// asFailure keeps the hint of an error of the hub.
func asFailure(err error, code int) error {
	if e := (*hub.Error)(nil); errors.As(err, &e) {
		return &failure{message: e.Text, hint: e.Hint, code: code}
	}
	return err
}

// config makes the hub's configuration of the settings.
func (o *serveOptions) config(bytesGiven bool) (hub.Config, error) {
	config := hub.Config{
		Addr: o.addr, AddrFile: o.addrFile, Data: o.data, Insecure: o.insecure,
		Hosts: o.hosts, Origins: o.origins, MaxEvent: int(o.maxEventSize),
		KeyWindow: time.Duration(o.keyWindow), Heartbeat: o.heartbeat, LockWait: o.lockWait,
	}
	if o.lockWait <= 0 {
		config.LockWait = -1
	}
	switch {
	case o.heartbeat <= 0:
		return config, misuse("", "--heartbeat %v is too short", o.heartbeat)
	case o.keepEvents < 0:
		return config, misuse("", "--keep-events %d is negative", o.keepEvents)
	}
	if o.data == hub.Memory && !bytesGiven {
		o.keepBytes = 0 // the broker's own limit, which is made for memory
	}
	if all := (hub.Retention{
		Age: time.Duration(o.keepAge), Events: int64(o.keepEvents), Bytes: int64(o.keepBytes),
	}); all != (hub.Retention{}) {
		config.Retention = append(config.Retention, all)
	}
	config.Retention = append(config.Retention, o.keep...)
	for _, line := range o.keys {
		key, err := auth.ParseKey(line)
		if err != nil {
			return config, misuse(keyHint, "--key: %v", err)
		}
		config.Keys = append(config.Keys, key)
	}
	if o.keyFile == "" {
		return config, nil
	}
	keys, err := readKeys(o.keyFile)
	config.Keys = append(config.Keys, keys...)
	return config, err
}

const keyHint = `as in "backend $(openssl rand -hex 16) publish ** subscribe **"`

func readKeys(name string) ([]auth.Key, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, misuse("a line of the file is NAME SECRET publish ** subscribe **",
			"cannot read the keys: %v", err)
	}
	defer func() { _ = file.Close() }() // which was only read
	keys, err := auth.ReadKeys(file)
	switch {
	case err != nil:
		return nil, misuse(keyHint, "%s: %v", name, err)
	case len(keys) == 0:
		// Otherwise an empty file would let everybody in.
		return nil, misuse(keyHint, "%s has no keys", name)
	}
	return keys, nil
}

// dataDir is where this system wants a program to keep what it must not lose.
func dataDir(env lookup) string {
	get := func(name string) string { value, _ := env(name); return value }
	home := get("HOME")
	switch {
	case get("STATE_DIRECTORY") != "": // systemd, StateDirectory=
		dir, _, _ := strings.Cut(get("STATE_DIRECTORY"), ":")
		return dir
	case windows && get("LocalAppData") != "":
		return filepath.Join(get("LocalAppData"), "sse")
	case runtime.GOOS == "darwin" && home != "":
		return filepath.Join(home, "Library", "Application Support", "sse")
	case filepath.IsAbs(get("XDG_DATA_HOME")):
		return filepath.Join(get("XDG_DATA_HOME"), "sse")
	case home != "":
		return filepath.Join(home, ".local", "share", "sse")
	}
	return "sse-data"
}

// hubUI prints what a hub says. Unlike a ui, it may be used by several goroutines.
type hubUI struct {
	mu sync.Mutex // guards the following
	ui *ui
}

func (l *hubUI) say(style, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ui.say(style, format, args...)
}

// ready says where the hub is, and what to try.
func (l *hubUI) ready(s hub.Started) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := "events are kept in " + s.Data
	if s.Data == hub.Memory {
		kept = "events are kept in memory, and lost when this ends"
	}
	l.ui.say(green, "serving %s; %s", s.URL, kept)
	l.ui.hint("try curl -N " + s.Addr + "/news, and in another console " +
		"curl -d hello " + s.Addr + "/news")
}

// Enabled implements [slog.Handler].
func (l *hubUI) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements [slog.Handler]: a record is a line, and its hint another.
func (l *hubUI) Handle(_ context.Context, r slog.Record) error {
	var text strings.Builder
	text.WriteString(strings.TrimPrefix(r.Message, "sse: "))
	hint := ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "hint" {
			hint = a.Value.String()
			return true
		}
		fmt.Fprintf(&text, ", %s %v", a.Key, a.Value)
		return true
	})
	style := ""
	if r.Level >= slog.LevelWarn {
		style = yellow
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ui.say(style, "%s", text.String())
	l.ui.hint(hint)
	return nil
}

// WithAttrs implements [slog.Handler]; nobody here uses it.
func (l *hubUI) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements [slog.Handler]; nobody here uses it.
func (l *hubUI) WithGroup(string) slog.Handler { return l }
