package control

// LoadCommand is a command to a load client, as a line of JSON.
type LoadCommand struct {
	Do string `json:"do"` // one of the names below

	// For LoadConnect.
	Addr        string   `json:"addr,omitempty"`
	Path        string   `json:"path,omitempty"` // {topic} stands for the name of the topic
	Headers     []string `json:"headers,omitempty"`
	Count       int      `json:"count,omitempty"`       // number of subscribers
	First       int      `json:"first,omitempty"`       // number of the first subscriber
	Topics      int      `json:"topics,omitempty"`      // subscriber i selects topic i % Topics
	Pattern     bool     `json:"pattern,omitempty"`     // subscribers select all topics
	Body        bool     `json:"body,omitempty"`        // wait for a byte of the body
	Concurrency int      `json:"concurrency,omitempty"` // number of concurrent handshakes
	TimeoutMS   int      `json:"timeout_ms,omitempty"`
	Source      int      `json:"source,omitempty"` // number of the first source address

	// For LoadProgress.
	Every int64 `json:"every,omitempty"`
}

// The commands to a load client.
const (
	LoadConnect  = "connect"  // add subscribers; the reply is LoadConnected
	LoadProgress = "progress" // send LoadReached after every Every waves; there is no other reply
	LoadReset    = "reset"    // reset times and counts; the reply is LoadDone
	LoadReport   = "report"   // the reply is LoadReported
	LoadClose    = "close"    // close all connections; the reply is LoadDone

	// After LoadExpectEnd, the proper end of a stream is not an error. There are two
	// replies: LoadDone at once, and LoadEnded when all streams have ended.
	LoadExpectEnd = "expect-end"
)

// PerSource is the number of subscribers that share a source address. Each of them
// needs a port, and the system has only 28,000 ports for each address.
const PerSource = 5000

// LoadReply is a reply of a load client, as a line of JSON.
type LoadReply struct {
	Is string `json:"is"` // one of the names below

	Wave int64 `json:"wave,omitempty"` // in LoadReached: all events up to this wave have arrived

	// In LoadReported.
	Subscribers int       `json:"subscribers,omitempty"`
	Events      int64     `json:"events,omitempty"` // since LoadReset
	Bytes       int64     `json:"bytes,omitempty"`
	Latency     Histogram `json:"latency"`
	Errors      int64     `json:"errors,omitempty"` // since the start
	Text        string    `json:"text,omitempty"`   // the first error, also in LoadFailed
}

// The replies of a load client.
const (
	LoadConnected = "connected"
	LoadReached   = "reached"
	LoadDone      = "done"
	LoadReported  = "reported"
	LoadEnded     = "ended" // with the number of errors and the first error
	LoadFailed    = "failed"
)

// ServerReply is a reply of a server that reads commands, as a line of JSON. The
// commands are not JSON, so that the server in C can parse them:
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
// A server executes the commands in their order.
type ServerReply struct {
	Is string `json:"is"` // one of the names below

	// In ServerListening, which a server sends when it has started.
	Addr    string `json:"addr,omitempty"`
	Path    string `json:"path,omitempty"`    // path for subscribers; {topic} stands for the topic
	Pattern string `json:"pattern,omitempty"` // path for pattern subscribers; if empty, no patterns
	Body    bool   `json:"body,omitempty"`    // the server sends bytes of the body with the header
	Version string `json:"version,omitempty"`

	// In ServerReported.
	Goroutines  int       `json:"goroutines,omitempty"`
	Published   int64     `json:"published,omitempty"`
	Call        Histogram `json:"call"`                  // durations of the calls that publish
	Command     Histogram `json:"command"`               // from the command to the return of the call
	Subscribers int       `json:"subscribers,omitempty"` // in the reply to subscribers only
	Held        int       `json:"held,omitempty"`        // number of subscribers that are not parked

	Text string `json:"text,omitempty"` // the error in ServerFailed
}

// The replies of a server.
const (
	ServerListening = "listening"
	ServerDone      = "done"
	ServerReported  = "reported"
	ServerFailed    = "failed"
)
