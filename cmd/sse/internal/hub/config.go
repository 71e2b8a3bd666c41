package hub

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/cmd/sse/internal/auth"
)

// Memory is the value of Config.Data for a hub that stores events only in
// memory.
const Memory = "memory"

// Config configures a hub. Addr and Data must be set.
type Config struct {
	// Addr is the address to listen on. For example, localhost:3000 means both
	// loopback addresses of this machine, :3000 means all of its addresses, and
	// 192.0.2.1:3000 means one address.
	Addr string

	// AddrFile, if not empty, is the name of a file. When the hub serves, it writes
	// its address to the file, with the actual port if the port of Addr is 0. At
	// shutdown, the hub removes the file.
	AddrFile string

	// Data is the directory of the event log, or Memory.
	Data string

	// Keys are the keys of the clients that may use the hub. Without keys, every
	// client may use the hub. Without keys and without Insecure, the hub must listen
	// on loopback addresses only, and refuses requests that a proxy has forwarded.
	Keys     []auth.Key
	Insecure bool

	// Hosts, Origins and MaxEvent have the same meaning as in [api.Options]. If
	// MaxEvent is zero, it is 10 MiB.
	Hosts    []string
	Origins  []string
	MaxEvent int

	// MaxConnections is the largest number of open connections. Further connections
	// wait until the hub accepts them. If zero, it is the descriptor limit of the
	// process minus 512, or half of a descriptor limit below 1,024. If the hub does
	// not know the descriptor limit, it does not limit the connections.
	MaxConnections int

	// MaxInflight limits the memory, in bytes, that all requests in flight may use
	// together. If zero, it is 1/8 of the memory that the process may use, but at
	// least 64 MiB and at least four times MaxEvent.
	MaxInflight int64

	// Retention lists limits of the stored events. A rule without a pattern limits
	// the events of all topics together. If there are several such rules, the strictest
	// limit of each kind applies. A rule with a pattern limits the events of each topic
	// that the pattern matches. If several patterns match a topic, only the first of
	// them applies.
	Retention []Retention

	// KeyWindow is how long the hub remembers the Idempotency-Key of a request. If
	// zero, 24 hours.
	KeyWindow time.Duration

	// Heartbeat is the time of silence after which the hub sends a heartbeat, a
	// comment that keeps the connection of a stream open. If zero, 15 seconds.
	Heartbeat time.Duration

	// LockWait is how long to wait for another hub to release Data. If zero, 10
	// seconds; if negative, the hub does not wait.
	LockWait time.Duration

	// NewEpoch begins a new epoch of the event log. Positions from before are then no
	// longer valid: each client that reconnects with one of them receives an event
	// sse.gap, which reports a loss. A log that has lost its key file cannot be opened
	// without NewEpoch. If Data is Memory, NewEpoch must be false.
	NewEpoch bool

	// Grace is how long the hub waits at shutdown for requests and streams to end,
	// before it closes their connections. If zero, 1.5 seconds.
	Grace time.Duration

	// Logger receives messages for the operator. If nil, the hub logs nothing.
	Logger *slog.Logger

	// Ready, if not nil, is called once the hub serves.
	Ready func(Started)
}

// Retention limits the stored events of each topic that Pattern matches. If Pattern
// is zero, it limits the events of all topics together. In a limit for each topic,
// zero means no limit. In a limit of all topics together, zero means no limit on the
// disk, and the default of [sse.Retention] in memory.
type Retention struct {
	Pattern sse.Pattern
	Age     time.Duration
	Events  int64
	Bytes   int64
}

// Started describes a hub that serves.
type Started struct {
	URL  string // for a browser
	Addr string // for net.Dial
	Data string // the directory of the event log, or Memory
	Keys bool   // whether clients need a key
}

// Error is the reason why a hub cannot start. Hint describes how to fix the
// problem. Hint may be empty.
type Error struct {
	Text, Hint string
	Err        error // the cause, or nil
}

func (e *Error) Error() string { return "sse: " + e.Text }
func (e *Error) Unwrap() error { return e.Err }

const (
	defaultMaxEvent = 10 << 20
	defaultLockWait = 10 * time.Second
	defaultGrace    = 1500 * time.Millisecond
)

// withDefaults returns a copy of c with the defaults in place of zero values. It does
// not set KeyWindow and Heartbeat: for these, the log and the broker have the defaults.
func (c Config) withDefaults() Config {
	c.MaxEvent = cmp.Or(c.MaxEvent, defaultMaxEvent)
	c.LockWait = cmp.Or(c.LockWait, defaultLockWait)
	c.Grace = cmp.Or(c.Grace, defaultGrace)
	c.MaxConnections = cmp.Or(c.MaxConnections, defaultMaxConnections(maxDescriptors()))
	c.MaxInflight = cmp.Or(c.MaxInflight, defaultMaxInflight(memoryLimit(), c.MaxEvent))
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate returns an *Error if the configuration is invalid.
func (c *Config) Validate() error {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		hint := "for example localhost:3000, or :8080 for all addresses of this machine"
		if _, err := strconv.ParseUint(c.Addr, 10, 16); err == nil {
			hint = fmt.Sprintf("use localhost:%s, or :%[1]s for all addresses of this machine", c.Addr)
		}
		return &Error{Text: fmt.Sprintf("the address %q must be HOST:PORT", c.Addr), Hint: hint}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return &Error{Text: fmt.Sprintf("the port of %q must be a number up to 65535", c.Addr),
			Hint: "localhost:0 uses any free port"}
	}
	if c.Data == "" {
		return &Error{Text: "the directory of the events must be set",
			Hint: "use --data DIR, or --data memory"}
	}
	if c.NewEpoch && c.Data == Memory {
		return &Error{Text: "--new-epoch must not be used with --data memory",
			Hint: "a hub that stores its events in memory begins a new epoch at each start"}
	}
	if c.MaxEvent < 0 {
		return &Error{Text: "the size limit of events must not be negative"}
	}
	least := defaultMaxInflight(0, cmp.Or(c.MaxEvent, defaultMaxEvent))
	if c.MaxInflight != 0 && c.MaxInflight < least {
		return &Error{
			Text: fmt.Sprintf("the memory of all requests in flight must be at least %d MiB", least>>20),
			Hint: "it must be at least 64 MiB, and four times --max-event-size; raise --max-inflight",
		}
	}
	if err := checkMaxConnections(c.MaxConnections, maxDescriptors()); err != nil {
		return err
	}
	if !isLoopback(host) && len(c.Keys) == 0 && !c.Insecure {
		return &Error{
			Text: fmt.Sprintf("without keys, everybody who can reach %s could publish and read", c.Addr),
			Hint: fmt.Sprintf("require a key with --key 'NAME SECRET publish ** subscribe **', "+
				"listen on this machine only with --addr localhost:%s, "+
				"or allow everybody with --insecure", port),
		}
	}
	for _, origin := range c.Origins {
		if err := c.checkOrigin(origin); err != nil {
			return err
		}
	}
	return nil
}

// checkMaxConnections returns an error if n is not a valid limit of connections for a
// process with this descriptor limit. If n is zero, the default applies. If descriptors
// is zero, the descriptor limit is unknown.
func checkMaxConnections(n int, descriptors uint64) error {
	switch {
	case n < 0:
		return &Error{Text: "the limit of connections must not be negative"}
	case descriptors > 0 && uint64(n)+minSpareDescriptors > descriptors && n > 0:
		return &Error{
			Text: fmt.Sprintf("the limit of connections must be at most the limit of descriptors "+
				"minus %d, and %d is more than %d - %[1]d", minSpareDescriptors, n, descriptors),
			Hint: "raise the limit of descriptors with ulimit -n, or lower --max-connections",
		}
	}
	return nil
}

func (c *Config) checkOrigin(origin string) error {
	if origin == "*" {
		if len(c.Keys) > 0 || c.Insecure {
			return nil
		}
		return &Error{Text: "without keys, every website could publish and read with --cors '*'",
			Hint: "list the origins, for example --cors https://example.com, or require a key with --key"}
	}
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || scheme != "http" && scheme != "https" || host == "" ||
		strings.ContainsAny(host, "/?# ") || strings.ToLower(origin) != origin {
		return &Error{
			Text: fmt.Sprintf("the origin %q must be a scheme and a host, in lower case", origin),
			Hint: "for example https://example.com, or http://localhost:5173 with a port " +
				"that is not the default",
		}
	}
	return nil
}

// isLoopback reports whether only this machine can reach a host.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
