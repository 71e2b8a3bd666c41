package control

// LoadCommand is a command line to a load client.
type LoadCommand struct {
	Do string `json:"do"` // one of the names below

	// For LoadConnect.
	Addr        string   `json:"addr,omitempty"`
	Path        string   `json:"path,omitempty"` // {topic} stands for the name of the topic
	Headers     []string `json:"headers,omitempty"`
	Count       int      `json:"count,omitempty"`       // number of subscribers
	First       int      `json:"first,omitempty"`       // number of the first subscriber
	Topics      int      `json:"topics,omitempty"`      // subscriber i has topic i % Topics
	Pattern     bool     `json:"pattern,omitempty"`     // each has all topics, by a pattern
	Body        bool     `json:"body,omitempty"`        // ready with a byte of the body
	Concurrency int      `json:"concurrency,omitempty"` // concurrent connects
	TimeoutMS   int      `json:"timeout_ms,omitempty"`
	Source      int      `json:"source,omitempty"` // first source network of the client

	// For LoadProgress.
	Every int64 `json:"every,omitempty"`
}

// The commands to a load client.
const (
	LoadConnect  = "connect"  // add subscribers; the reply is LoadConnected
	LoadProgress = "progress" // from now on, report every Every waves; there is no reply
	LoadReset    = "reset"    // reset times and counts; the reply is LoadDone
	LoadReport   = "report"   // the reply is LoadReported
	LoadClose    = "close"    // close all connections; the reply is LoadDone

	// LoadExpectEnd makes the proper end of a stream not an error. The reply is
	// LoadDone, and LoadEnded when all streams have ended.
	LoadExpectEnd = "expect-end"
)

// PerSource is the number of subscribers of a load client that share a source
// address. Each needs one port; the system has only 28,000 ports per address.
const PerSource = 5000

// LoadReply is a reply line from a load client.
type LoadReply struct {
	Is string `json:"is"`

	Wave int64 `json:"wave,omitempty"` // of LoadReached: all events through this wave have arrived

	// Of LoadReported.
	Subscribers int       `json:"subscribers,omitempty"`
	Events      int64     `json:"events,omitempty"` // since LoadReset
	Bytes       int64     `json:"bytes,omitempty"`
	Latency     Histogram `json:"latency"`
	Errors      int64     `json:"errors,omitempty"` // since the start
	Text        string    `json:"text,omitempty"`   // the first error, also of LoadFailed
}

// The replies of a load client.
const (
	LoadConnected = "connected"
	LoadReached   = "reached"
	LoadDone      = "done"
	LoadReported  = "reported"
	LoadEnded     = "ended" // has the errors, if there were any
	LoadFailed    = "failed"
)

// ServerReply is a reply line from a server that reads commands. The commands
// are plain words, because the server in C reads them, too:
//
//	publish WAVES TOPICS SIZE SENT   publish WAVES events on each of TOPICS
//	                                 topics, in turn, of SIZE bytes; SENT is the
//	                                 time of the command. There is no reply.
//	reset                            reset the times; the reply is ServerDone
//	report                           the reply is ServerReported
//
// Servers of this library also have the commands
//
//	subscribers                      the reply is ServerReported with their number
//	shutdown                         end all streams; the reply is ServerDone
//
// A server publishes in the order of the commands.
type ServerReply struct {
	Is string `json:"is"`

	// Of ServerListening.
	Addr    string `json:"addr,omitempty"`
	Path    string `json:"path,omitempty"`    // {topic} stands for the topic
	Pattern string `json:"pattern,omitempty"` // path for pattern subscribers; if empty, it has none
	Body    bool   `json:"body,omitempty"`    // the server sends body bytes with the header
	Version string `json:"version,omitempty"`

	// Of ServerReported.
	Goroutines  int       `json:"goroutines,omitempty"`
	Published   int64     `json:"published,omitempty"`
	Call        Histogram `json:"call"`                  // durations of the calls that publish
	Command     Histogram `json:"command"`               // from the command to the return of the call
	Subscribers int       `json:"subscribers,omitempty"` // in the reply to subscribers only
	Held        int       `json:"held,omitempty"`        // number of subscribers that are not parked

	Text string `json:"text,omitempty"` // of ServerFailed
}

// The replies of a server.
const (
	ServerListening = "listening"
	ServerDone      = "done"
	ServerReported  = "reported"
	ServerFailed    = "failed"
)
