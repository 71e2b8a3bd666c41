package interop

import (
	"strings"

	"github.com/sse-go/sse"
)

// action is the action of a server in one step of a script.
type action string

const (
	send       action = "send"       // send the event; if its type is receipt, wait for the receipt
	heartbeats action = "heartbeats" // send three heartbeats and nothing else
	idOnly     action = "idOnly"     // send a block that has only an id
	cut        action = "cut"        // abort the connection
	cutInside  action = "cutInside"  // abort it in the middle of the event, which is sent again later
	end        action = "end"        // end the response properly
	alone      action = "alone"      // check that the second stream has not reconnected yet
)

// receipt is the type of events that the client confirms. There is one before
// each cut. Bytes in transit when a connection breaks may arrive or not, so
// without a receipt the expected Last-Event-ID would be unknown.
const receipt = "receipt"

// done is the type of the last event.
const done = "done"

// step is one step of a script.
type step struct {
	do    action
	event sse.Event
	want  string // the data of the event as it must arrive
}

// script is the behavior of a server. It works like a log: a client begins
// after the event of its Last-Event-ID. Steps other than events are executed
// once.
type script []step

// lineEnds changes the line ends in data like the encoding does.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// sendStep returns the step that sends an event.
func sendStep(event sse.Event) step {
	return step{do: send, event: event, want: lineEnds.Replace(event.Data)}
}

// after returns the step at which a client resumes: the one after the event
// with the id. It returns -1 if there is no such event.
func (s script) after(id string) int {
	if id == "" {
		return 0
	}
	for i, step := range s {
		if step.event.ID == id && step.do != cutInside {
			return i + 1
		}
	}
	return -1
}

// types returns the types to which a browser must listen.
func (s script) types() []string {
	names := []string{"message", beat}
	seen := map[string]bool{"": true, "message": true}
	for _, step := range s {
		if !seen[step.event.Type] && !strings.HasPrefix(step.event.Type, "sse.") {
			seen[step.event.Type] = true
			names = append(names, step.event.Type)
		}
	}
	return names
}

// received is an event as a client reports it.
type received struct {
	Type        string `json:"type"`
	Data        string `json:"data"`
	LastEventID string `json:"lastEventId"`
}

// traits are the differences of a client from HTML 9.2 and from other clients.
type traits struct {
	// idOnly: a block that has only an id sets the last event ID.
	//
	// HTML 9.2.6: "Set the last event ID string of the event source to the value
	// of the last event ID buffer", before the data is checked. Chromium and
	// WebKitGTK 2.50 do this, Firefox does not.
	idOnly bool

	// ownID: the client reports an event that has no id of its own without an id.
	ownID bool

	// earlyID: an id counts as soon as its line has arrived. If the connection is
	// cut before the rest of the event, the event is lost. Therefore the script
	// cuts no event that has an id.
	earlyID bool

	// asciiID: the client passes Last-Event-ID to fetch as a string. For an id
	// that is not ASCII, fetch changes the id or throws. Therefore the client does
	// not resume after such an id.
	asciiID bool

	// allBlocks: the client reports every block as an event, including a block
	// that has only an id. A block without fields, for example after a comment,
	// cannot be distinguished from an event without data. Therefore neither is
	// compared.
	allBlocks bool

	// needsServer: the client also gives up if a server of another origin is
	// unreachable. Therefore the page reconnects by hand after a restart.
	needsServer bool

	// foreignHost: the client can be configured to resolve a host name to this
	// machine.
	foreignHost bool

	// blindHTTP2: while the client waits on HTTP/2, it does not notice that the
	// stream is reset or the connection closed. Therefore cuts on HTTP/2 are
	// proper ends of the response. (In WebKitGTK with libsoup 3.2, nothing wakes
	// the reader of the body.)
	blindHTTP2 bool

	// givesUp: the client gives up after a response that ends inside its head.
	// Therefore the page reconnects by hand in tests that break connections at
	// random.
	//
	// HTML 9.2.3: "if res is a network error, then reestablish the connection,
	// unless the user agent knows that to be futile". Firefox considers this error
	// futile. Chromium takes a part of a head for a complete one, which has no
	// content type of an event stream.
	givesUp bool

	// allTypes: the client also reports events whose type begins with sse.
	allTypes bool

	// mangle, if not nil, changes an event like the client does.
	mangle func(received) received
}

// fit returns the script with changes for the traits of a client.
func (s script) fit(tr traits) script {
	fitted := make(script, 0, len(s))
	for _, step := range s {
		if tr.earlyID && step.do == cutInside {
			step.event.ID = ""
		}
		if tr.asciiID && step.event.Type == receipt {
			step.event.ID = strings.Map(asciiOnly, step.event.ID)
		}
		fitted = append(fitted, step)
	}
	return fitted
}

func asciiOnly(r rune) rune {
	if r > '~' {
		return -1
	}
	return r
}

// outcome is the expected result of a script.
type outcome struct {
	events   []received
	requests []string // the Last-Event-ID of each
}

// play returns the events that a client must receive, and its requests.
func (s script) play(tr traits) outcome {
	p := player{script: s, traits: tr, reached: map[int]bool{}}
	for pos := 0; pos >= 0; pos = p.connect(pos) {
	}
	return p.outcome
}

// player simulates a client.
type player struct {
	outcome
	script  script
	traits  traits
	lastID  string
	reached map[int]bool // the executed steps other than events
}

// connect plays one connection. It returns the step at which the next
// connection begins, or -1.
func (p *player) connect(pos int) int {
	p.requests = append(p.requests, p.lastID)
	for ; pos < len(p.script); pos++ {
		switch step := p.script[pos]; step.do {
		case send:
			p.receive(step)
			if step.event.Type == done {
				return -1
			}
		case idOnly:
			if !p.reached[pos] {
				p.reached[pos] = true
				p.receiveID(step.event.ID)
			}
		case cut, cutInside, end:
			if !p.reached[pos] {
				p.reached[pos] = true
				return p.script.after(p.lastID)
			}
		}
	}
	return -1
}

// receiveID plays a block that has only an id.
func (p *player) receiveID(id string) {
	if p.traits.idOnly {
		p.lastID = id
	}
	if p.traits.allBlocks {
		p.events = append(p.events, received{Type: "message", LastEventID: id})
	}
}

func (p *player) receive(step step) {
	if step.event.ID != "" {
		p.lastID = step.event.ID
	}
	got := received{Type: step.event.Type, Data: step.want, LastEventID: p.lastID}
	if p.traits.ownID {
		got.LastEventID = step.event.ID
	}
	if p.traits.mangle != nil {
		got = p.traits.mangle(got)
	}
	if got.Type == "" {
		got.Type = "message"
	}
	if p.traits.allTypes || !strings.HasPrefix(got.Type, "sse.") {
		p.events = append(p.events, got)
	}
}
