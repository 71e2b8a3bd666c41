package hub

import (
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

// Memory as Config.Data keeps events in memory only.
const Memory = "memory"

// Config is what a hub needs to know. Addr and Data must be set.
type Config struct {
	// Addr is where to listen: localhost:3000 for both addresses of this machine's
	// loopback, or an address, or :3000 for all.
	Addr string

	// AddrFile, if not empty, is a file that the address is written to, and the port
	// if that was 0, once the hub serves.
	AddrFile string

	// Data is the directory of the log, or Memory.
	Data string

	// Keys are those who may use the hub. If there are none everybody may, and only
	// a hub on loopback starts, unless Insecure is set.
	Keys     []auth.Key
	Insecure bool

	// Hosts, Origins and MaxEvent are those of the interface, [api.Options]. If
	// MaxEvent is zero, 10 MiB.
	Hosts    []string
	Origins  []string
	MaxEvent int

	// Retention is how much is kept, in all and of topics. With a Pattern, the first
	// that matches a topic counts.
	Retention []Retention

	// KeyWindow is how long idempotency keys are remembered. If zero, 24 hours.
	KeyWindow time.Duration

	// Heartbeat is the silence after which a stream gets a byte. If zero, 15 seconds.
	Heartbeat time.Duration

	// LockWait is how long to wait for another hub to let go of Data. If zero, 10
	// seconds; if negative, not at all.
	LockWait time.Duration

	// Grace is how long streams have to end when the hub does. If zero, 1.5 seconds.
	Grace time.Duration

	// Logger is told what an operator should know. If nil, nothing is logged.
	Logger *slog.Logger

	// Ready is called once the hub serves.
	Ready func(Started)
}

// Retention is how much is kept of each topic that Pattern matches or, if that is
// zero, in all. What is zero limits nothing.
type Retention struct {
	Pattern sse.Pattern
	Age     time.Duration
	Events  int64
	Bytes   int64
}

// Started says where a hub serves.
type Started struct {
	URL  string // to open
	Addr string // to dial
	Data string // where the events are kept, or Memory
}

// Error is what prevents a hub from starting, and what to do about it.
type Error struct {
	Text, Hint string
	Err        error // perhaps
}

func (e *Error) Error() string { return "sse: " + e.Text }
func (e *Error) Unwrap() error { return e.Err }

const (
	defaultMaxEvent = 10 << 20
	defaultLockWait = 10 * time.Second
	defaultGrace    = 1500 * time.Millisecond
)

// withDefaults returns a copy in which nothing is left to choose.
func (c Config) withDefaults() Config {
	setIfZero(&c.MaxEvent, defaultMaxEvent)
	setIfZero(&c.LockWait, defaultLockWait)
	setIfZero(&c.Grace, defaultGrace)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setIfZero[T comparable](v *T, value T) {
	if *v == *new(T) {
		*v = value
	}
}

// Validate says what is wrong with the configuration. The error is an *Error.
func (c *Config) Validate() error {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return &Error{Text: fmt.Sprintf("%q is not an address", c.Addr),
			Hint: "an address is host:port, as in localhost:3000 or :8080"}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return &Error{Text: fmt.Sprintf("%q has no port that is a number up to 65535", c.Addr),
			Hint: "for any port that is free: localhost:0"}
	}
	if c.Data == "" {
		return &Error{Text: "there is no directory for the events", Hint: "--data DIR, or --data memory"}
	}
	if c.MaxEvent < 0 {
		return &Error{Text: "the largest event has a negative size"}
	}
	if !isLoopback(host) && len(c.Keys) == 0 && !c.Insecure {
		return &Error{
			Text: fmt.Sprintf("%s is not only for this machine, and there are no keys: "+
				"anybody could publish and read", c.Addr),
			Hint: fmt.Sprintf("--key 'NAME SECRET publish ** subscribe **' lets those in who have it; "+
				"--addr localhost:%s is this machine only; --insecure lets everybody in", port),
		}
	}
	for _, origin := range c.Origins {
		if err := c.checkOrigin(origin); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkOrigin(origin string) error {
	if origin == "*" {
		if len(c.Keys) > 0 || c.Insecure {
			return nil
		}
		return &Error{Text: "--cors '*' would let every website publish and read, as there are no keys",
			Hint: "name the origins, as in --cors https://example.com, or give out keys with --key"}
	}
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || scheme != "http" && scheme != "https" || host == "" ||
		strings.ContainsAny(host, "/?# ") || strings.ToLower(origin) != origin {
		return &Error{Text: fmt.Sprintf("%q is not an origin", origin),
			Hint: "an origin is a scheme and a host, and a port if it is an unusual one, " +
				"as in https://example.com or http://localhost:5173"}
	}
	return nil
}

// isLoopback reports whether only this machine reaches a host.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
