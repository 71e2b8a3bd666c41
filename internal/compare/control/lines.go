package control

// LoadCommand is a line to a load client.
type LoadCommand struct {
	Do string `json:"do"` // one of the names below

	// For LoadConnect.
	Addr        string   `json:"addr,omitempty"`
	Path        string   `json:"path,omitempty"` // {topic} is replaced by the topic's name
	Headers     []string `json:"headers,omitempty"`
	Count       int      `json:"count,omitempty"`       // how many subscribers
	First       int      `json:"first,omitempty"`       // the number of the first
	Topics      int      `json:"topics,omitempty"`      // subscriber i takes topic i modulo this
	Pattern     bool     `json:"pattern,omitempty"`     // each takes all topics, by a pattern
	Body        bool     `json:"body,omitempty"`        // ready with the first byte after the header
	Concurrency int      `json:"concurrency,omitempty"` // connecting at a time
	TimeoutMS   int      `json:"timeout_ms,omitempty"`
	Source      int      `json:"source,omitempty"` // the first of the client's source networks

	// For LoadProgress.
	Every int64 `json:"every,omitempty"`
}

// What a load client does.
const (
	LoadConnect  = "connect"  // more subscribers; answered by LoadConnected
	LoadProgress = "progress" // tell every so many waves from now on; no answer
	LoadReset    = "reset"    // forget the times and counts; answered by LoadDone
	LoadReport   = "report"   // answered by LoadReported
	LoadClose    = "close"    // close all connections; answered by LoadDone

	// LoadExpectEnd says that the end of a stream is no error from now on, if it is
	// a whole one; answered by LoadDone, and by LoadEnded when all have ended.
	LoadExpectEnd = "expect-end"
)

// PerSource subscribers of a load client share a source address; with one port
// each they stay far from the 28,000 that the system hands out for one address.
const PerSource = 5000

// LoadReply is a line from a load client.
type LoadReply struct {
	Is string `json:"is"`

	Wave int64 `json:"wave,omitempty"` // LoadReached: all events up to this wave are here

	Subscribers int       `json:"subscribers,omitempty"` // LoadReported, as all below
	Events      int64     `json:"events,omitempty"`      // since LoadReset
	Bytes       int64     `json:"bytes,omitempty"`
	Latency     Histogram `json:"latency"`
	Errors      int64     `json:"errors,omitempty"` // ever
	Text        string    `json:"text,omitempty"`   // the first error, or LoadFailed's
}

// What a load client says.
const (
	LoadConnected = "connected"
	LoadReached   = "reached"
	LoadDone      = "done"
	LoadReported  = "reported"
	LoadEnded     = "ended" // with the errors, if there were any
	LoadFailed    = "failed"
)

// ServerReply is a line from a server that is driven by lines. Its commands are
// words, as the one in C reads them too:
//
//	publish WAVES TOPICS SIZE SENT   WAVES events on each of TOPICS topics, in
//	                                 turn, of SIZE bytes; SENT is the time of
//	                                 the command. No answer.
//	reset                            forget the times; answered by ServerDone
//	report                           answered by ServerReported
//
// and, if they are ours,
//
//	subscribers                      answered by ServerReported, with their number
//	shutdown                         ends all streams; answered by ServerDone
//
// A server publishes in the order of the commands.
type ServerReply struct {
	Is string `json:"is"`

	Addr    string `json:"addr,omitempty"`    // ServerListening, as all below
	Path    string `json:"path,omitempty"`    // {topic} stands for the topic
	Pattern string `json:"pattern,omitempty"` // the path of pattern subscribers; empty: it has none
	Body    bool   `json:"body,omitempty"`    // it sends something after the header at once
	Version string `json:"version,omitempty"`

	Goroutines  int       `json:"goroutines,omitempty"` // ServerReported, as all below
	Published   int64     `json:"published,omitempty"`
	Call        Histogram `json:"call"`                  // what the calls that publish took
	Command     Histogram `json:"command"`               // from the command to the call's return
	Subscribers int       `json:"subscribers,omitempty"` // only if asked for
	Held        int       `json:"held,omitempty"`        // those of them that are not parked
	Text        string    `json:"text,omitempty"`        // ServerFailed
}

// What a server says.
const (
	ServerListening = "listening"
	ServerDone      = "done"
	ServerReported  = "reported"
	ServerFailed    = "failed"
)
