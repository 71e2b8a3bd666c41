package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/auth"
	"github.com/sse-go/sse/cmd/sse/internal/hub"
)

const serveIntro = `usage: sse serve [flags]

Run a hub. The hub stores each event that a publisher sends to a topic, and delivers the
event to all subscribers of the topic. A client that reconnects receives the events that
it missed. With --data memory, a restart of the hub loses the stored events.

  sse serve
  curl -N localhost:3000/news          # in a second console: subscribe
  curl -d hello localhost:3000/news    # in a third console: publish

  sse serve --addr localhost:8080 --data ./events --keep-age 7d
  SSE_SERVE_KEY="backend $(openssl rand -hex 16) publish ** subscribe **" \
      sse serve --addr :3000

On localhost without keys, every program on this machine can publish and subscribe, but a
web page can do so only if --cors allows its origin. On any other address, the hub
requires keys, unless --insecure is set. Set keys behind a proxy, too: a hub without keys
refuses requests that a proxy forwards, but it cannot recognize every proxy. A key is a
line with a name, a secret, and patterns of the topics that the key may use:
NAME SECRET [publish PATTERN…] [subscribe PATTERN…] [delete PATTERN…]

Ctrl-C, SIGTERM and SIGHUP stop the hub. The hub then sends each client the time to wait
before the client reconnects, and closes the streams. A second Ctrl-C stops the hub
immediately.
Exit code: 0 stopped, 1 failed, 2 usage error, 130 stopped by a second Ctrl-C.
`

// serveOptions are the settings of "sse serve".
type serveOptions struct {
	addr, addrFile string
	hosts, origins stringsFlag

	data              string
	keepAge           ageFlag
	keepEvents        int
	keepBytes         storageSizeFlag
	topicRetention    retentionFlag
	idempotencyPeriod ageFlag
	lockWait          time.Duration
	newEpoch          bool

	keys     stringsFlag
	keyFile  nonEmptyFlag
	insecure bool

	maxEventSize eventSizeFlag
	heartbeat    time.Duration

	maxConnections int
	maxInflight    storageSizeFlag
}

// define declares every flag. The fields of o hold the defaults.
func (o *serveOptions) define(s *settings) {
	s.addGroup("Address")
	s.addHint("use --addr, for example --addr localhost:8080", "port", "p", "listen", "bind")
	s.addFlag(&o.addr, "addr", "listen on `ADDRESS`, for example localhost:3000 "+
		"to accept only this machine, or :3000 to accept all machines")
	s.addFlag(&o.addrFile, "addr-file", "write the address to `FILE` when the hub is ready, "+
		"for example to learn the port after --addr localhost:0")
	s.addFlag(&o.hosts, "host", "accept requests whose Host is `NAME`, for example "+
		"events.example.com, as a proxy may send them; "+
		"a hub behind a proxy also needs keys, or --insecure")
	s.addFlag(&o.origins, "cors", "allow web pages of `ORIGIN` to use the hub, "+
		"for example https://example.com")

	s.addGroup("Stored events")
	s.addFlag(&o.data, "data", "store events in directory `DIR`, for example ./events; "+
		"use the word memory to store events only in memory")
	s.addFlag(&o.keepAge, "keep-age", "remove events older than `AGE`, for example 36h or 7d; "+
		"0 or no value means no limit")
	s.addFlag(&o.keepEvents, "keep-events", "retain only the last `N` events, for example 100000; "+
		"0 or no value means no limit; with --data memory, 0 or no value means 16384")
	s.addFlag(&o.keepBytes, "keep-bytes", "retain only the last `SIZE` of events, "+
		"for example 500MiB; 0 means no limit; with --data memory, "+
		"the default is 64MiB, and 0 means 64MiB")
	s.addFlag(&o.topicRetention, "keep", "set `LIMITS` for each topic that a pattern matches, "+
		"for example 'room/* age=7d events=100 bytes=1MiB'")
	s.addFlag(&o.idempotencyPeriod, "idempotency-window",
		"recognize a repeated Idempotency-Key for `AGE`, for example 36h")
	s.addFlag(&o.lockWait, "lock-wait", "wait up to `DURATION`, for example 1m, "+
		"for another hub to release the data directory")
	s.addFlag(&o.newEpoch, "new-epoch", "write a new file 'key' in the data directory, for example "+
		"if the file is lost; each client that reconnects then gets an event sse.gap, "+
		"so use this flag for one start only; the file protects the event IDs, "+
		"and is not related to --key")

	s.addGroup("Access")
	s.addFlag(&o.keys, "key", "accept `KEY`, "+
		"for example 'reader SECRET subscribe **' with a SECRET of at least 16 characters")
	s.addFlag(&o.keyFile, "keys", "read keys from `FILE`, one per line, "+
		"for example to hide the secrets from the process list")
	s.addFlag(&o.insecure, "insecure", "serve without keys on an address that other machines "+
		"can reach, for example :3000, or behind a proxy; every client then has full access")

	s.addGroup("Streams")
	s.addFlag(&o.maxEventSize, "max-event-size", "refuse events larger than `SIZE`, "+
		"for example 64KiB")
	s.addFlag(&o.heartbeat, "heartbeat", "send a heartbeat to keep the connection open "+
		"when a stream is silent for `DURATION`, for example 30s")

	s.addGroup("Limits")
	s.addFlag(&o.maxConnections, "max-connections", "accept at most `N` connections at a time, "+
		"for example 10000; 0 or no value means the hard limit of descriptors (ulimit -Hn) "+
		"minus 512; if the hard limit is below 1024, half of the hard limit")
	s.addFlag(&o.maxInflight, "max-inflight", "use at most `SIZE` of memory for all requests "+
		"in flight, for example 256MiB; 0 or no value means 1/8 of the memory, but at least 64MiB "+
		"and at least 4 times --max-event-size")
}

// serve runs "sse serve".
func serve(ctx context.Context, p *process, args []string) int {
	o := serveOptions{
		addr: "localhost:3000", data: dataDir(p.env), keepBytes: 1 << 30,
		idempotencyPeriod: ageFlag(24 * time.Hour), maxEventSize: 10 << 20,
		heartbeat: 15 * time.Second, lockWait: 10 * time.Second,
	}
	s := newSettings("serve")
	o.define(s)
	operands, err := s.parse(args, p.env)
	if errors.Is(err, errHelp) {
		return p.ui.printPage(s.help(serveIntro))
	}
	if err == nil && len(operands) > 0 {
		// The message does not contain the operand, because it may be a secret.
		err = usageError(o.operandHint(operands[0]),
			"sse serve must have only flags, and no other arguments")
	}
	if err != nil {
		return p.ui.fail(err)
	}
	config, err := o.config(s.given["keep-bytes"])
	if err != nil {
		return p.ui.fail(err)
	}
	r := &hubReporter{ui: p.ui}
	config.Logger, config.Ready = slog.New(r), r.reportReady
	return runHub(ctx, r, config)
}

// operandHint returns the hint for an argument that is not a flag. The hint suggests
// --addr if the argument is an address or a port, and quotes if a value of --key is a
// single word.
func (o *serveOptions) operandHint(operand string) string {
	host, port, err := net.SplitHostPort(operand)
	if err != nil { // operand may be only a port
		host, port = "", operand
	}
	if _, err := strconv.ParseUint(port, 10, 16); err == nil {
		return "use --addr " + net.JoinHostPort(cmp.Or(host, "localhost"), port)
	}
	if slices.ContainsFunc(o.keys, func(key string) bool { return len(strings.Fields(key)) == 1 }) {
		return "put quotes around a key: --key 'NAME SECRET publish PATTERN…'"
	}
	return "use --addr HOST:PORT for the address, or --data DIR for the directory"
}

// runHub runs a hub until ctx is done or the hub fails. It returns the exit code.
func runHub(ctx context.Context, r *hubReporter, config hub.Config) int {
	h, err := hub.New(config)
	if err != nil {
		return r.fail(toFailure(err, exitUsage))
	}
	defer context.AfterFunc(ctx, func() {
		r.report("", "stopping: sending each client a time to wait before it reconnects")
	})()
	if err := h.Run(ctx); err != nil {
		return r.fail(toFailure(err, exitFailed))
	}
	return exitDone
}

// toFailure returns err as a failure with this exit code if err is a *hub.Error. It
// returns any other error unchanged.
func toFailure(err error, code int) error {
	if e := (*hub.Error)(nil); errors.As(err, &e) {
		return &failure{message: e.Text, hint: e.Hint, code: code}
	}
	return err
}

// config checks the settings and returns the configuration of the hub. If
// bytesGiven is true, --keep-bytes or its environment variable is set.
func (o *serveOptions) config(bytesGiven bool) (hub.Config, error) {
	config := hub.Config{
		Addr: o.addr, AddrFile: o.addrFile, Data: o.data, Insecure: o.insecure,
		Hosts: o.hosts, Origins: o.origins, MaxEvent: int(o.maxEventSize),
		MaxConnections: o.maxConnections, MaxInflight: int64(o.maxInflight),
		KeyWindow: time.Duration(o.idempotencyPeriod), Heartbeat: o.heartbeat, LockWait: o.lockWait,
		NewEpoch: o.newEpoch,
	}
	if o.lockWait <= 0 {
		config.LockWait = -1
	}
	switch {
	case o.heartbeat <= 0:
		return config, usageError("", "--heartbeat %v must be greater than 0s", o.heartbeat)
	case o.idempotencyPeriod <= 0: // the hub would take zero for its default
		return config, usageError("", "--idempotency-window %v must be greater than 0s",
			time.Duration(o.idempotencyPeriod))
	case o.maxConnections < 0:
		return config, usageError("", "--max-connections %d must not be negative", o.maxConnections)
	case o.keepEvents < 0:
		return config, usageError("", "--keep-events %d must not be negative", o.keepEvents)
	}
	if o.data == hub.Memory && !bytesGiven {
		o.keepBytes = 0 // the broker then applies its own limit for memory
	}
	if all := (hub.Retention{
		Age: time.Duration(o.keepAge), Events: int64(o.keepEvents), Bytes: int64(o.keepBytes),
	}); all != (hub.Retention{}) {
		config.Retention = append(config.Retention, all)
	}
	config.Retention = append(config.Retention, o.topicRetention...)
	for i, line := range o.keys {
		key, err := auth.ParseKey(line)
		if err != nil {
			setting := "--key"
			if len(o.keys) > 1 {
				setting = fmt.Sprintf("--key, value %d", i+1)
			}
			return config, usageError(keyHint, "%s: %v", setting, err)
		}
		config.Keys = append(config.Keys, key)
	}
	if o.keyFile == "" {
		return config, nil
	}
	keys, err := readKeys(string(o.keyFile))
	config.Keys = append(config.Keys, keys...)
	return config, err
}

const keyHint = `for example "backend $(openssl rand -hex 16) publish ** subscribe **"`

// readKeys reads the key file with this name. A file without keys is an error,
// because a hub without keys gives every client access. If the file cannot be opened,
// the error does not contain its name, because the name may be a key that the operator
// has passed to --keys in place of --key.
func readKeys(name string) ([]auth.Key, error) {
	file, err := os.Open(name)
	if err != nil {
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = path.Err
		}
		return nil, usageError("--keys must name a file that you may read; each of its lines is a key; "+
			"for a single key, use --key", "cannot read the file of --keys: %v", err)
	}
	defer func() { _ = file.Close() }() // the file was only read
	keys, err := auth.ReadKeys(file)
	switch {
	case err != nil:
		return nil, usageError(keyHint, "%s: %v", name, err)
	case len(keys) == 0:
		return nil, usageError(keyHint, "%s must contain at least one key", name)
	}
	return keys, nil
}
