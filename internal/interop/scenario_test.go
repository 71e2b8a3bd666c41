package interop

import (
	"strings"

	"github.com/sse-go/sse"
)

// action is the action of a server in one step of a script.
type action string

const (
	send       action = "send"       // send the event; if it is a receipt, wait for the confirmation
	heartbeats action = "heartbeats" // wait until three heartbeats are sent
	idOnly     action = "idOnly"     // send a block that has only an ID
	cut        action = "cut"        // abort the connection
	cutInside  action = "cutInside"  // send the first half of the event, then abort the connection
	end        action = "end"        // end the response properly
	alone      action = "alone"      // check that the second stream has not reconnected yet
)

// receipt is the type of events that the client confirms with a request. Such an
// event precedes each cut. Without it, the Last-Event-ID of the next request would
// be unknown: bytes that are in transit when a connection breaks may arrive or not.
const receipt = "receipt"

// done is the type of the last event of a script.
const done = "done"

// step is one step of a script.
type step struct {
	do    action
	event sse.Event
	want  string // the data that the client must receive
}

// script is the behavior of a server. A client that reconnects begins at the step
// after the event of its Last-Event-ID, so it may reach a step again. The steps
// idOnly, cut, cutInside and end are executed only the first time.
type script []step

// lineEnds replaces every line end by "\n", as the encoding does.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// sendStep returns the step that sends an event.
func sendStep(event sse.Event) step {
	return step{do: send, event: event, want: lineEnds.Replace(event.Data)}
}

// after returns the index of the step after the event with the ID. At this step, a
// client with that Last-Event-ID resumes. If id is empty, it returns 0. If no event
// has the ID, it returns -1.
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

// types returns the event types for which a page must add listeners.
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

// traits are the ways in which a client differs from HTML 9.2 or from other clients.
// A block is a sequence of lines up to an empty line.
type traits struct {
	// idOnly: a block that has only an ID sets the last event ID.
	//
	// HTML 9.2.6: "Set the last event ID string of the event source to the value
	// of the last event ID buffer", before the data is checked. Chromium and
	// WebKitGTK 2.50 do this, Firefox does not.
	idOnly bool

	// ownID: if an event has no ID field, the client reports it without an ID. Other
	// clients report the last event ID.
	ownID bool

	// earlyID: an ID counts as soon as its line has arrived. If the connection is
	// cut before the rest of the event, the event is lost. Therefore fit removes the
	// ID of each event that is cut.
	earlyID bool

	// asciiID: the client passes Last-Event-ID to fetch as a string. If the ID is not
	// ASCII, fetch changes it or throws an exception. Therefore fit makes the IDs of
	// receipts ASCII: the client resumes only after these.
	asciiID bool

	// allBlocks: the client reports every block as an event, including a block
	// that has only an ID. So its report of a block without fields, for example
	// after a comment, equals its report of an event without data. Therefore settle
	// removes both.
	allBlocks bool

	// needsServer: the client gives up if a server of another origin is unreachable.
	// Therefore a script in the page reconnects after a restart.
	needsServer bool

	// foreignHost: the client can be configured to resolve a host name to this
	// machine.
	foreignHost bool

	// blindHTTP2: while the client waits for data on HTTP/2, it does not notice that
	// the stream is reset or that the connection is closed. Therefore the server
	// ends responses on HTTP/2 properly where the script has a cut. (In WebKitGTK
	// with libsoup 3.2, nothing wakes the reader of the body.)
	blindHTTP2 bool

	// givesUp: the client gives up after a response that ends inside its header.
	// Therefore a script in the page reconnects in tests that break connections at
	// random.
	//
	// HTML 9.2.3: "if res is a network error, then reestablish the connection,
	// unless the user agent knows that to be futile". Firefox considers this error
	// futile. Chromium treats a part of a header as a complete header, which lacks
	// the content type of an event stream.
	givesUp bool

	// allTypes: the client also reports events whose type begins with "sse.".
	allTypes bool

	// mangle, if not nil, changes an event as the client does.
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

// asciiOnly is a mapping for strings.Map that removes characters after "~".
func asciiOnly(r rune) rune {
	if r > '~' {
		return -1
	}
	return r
}

// outcome is the expected result of a script.
type outcome struct {
	events   []received
	requests []string // the Last-Event-ID of each request
}

// play returns the events that a client with the traits must report, and the
// requests that it must send.
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
	reached map[int]bool // indexes of the executed steps that are executed only once
}

// connect simulates one connection that begins at the step pos. It returns the step
// at which the next connection begins, or -1 at the end of the script.
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

// receiveID simulates the receipt of a block that has only an ID.
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
