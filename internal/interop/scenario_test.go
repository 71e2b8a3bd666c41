package interop

import (
	"strings"

	"github.com/sse-go/sse"
)

// action is what a server does in one step of a script.
type action string

const (
	send       action = "send"       // the event; if its type is receipt, it waits for that
	heartbeats action = "heartbeats" // silence, until there were three
	idOnly     action = "idOnly"     // a block with an id and nothing else
	cut        action = "cut"        // abort the connection
	cutInside  action = "cutInside"  // abort it half-way through the event, which comes again
	end        action = "end"        // end the response as one should
	alone      action = "alone"      // the stream beside it must not be back yet
)

// receipt is the type of events that the client confirms. One comes before each
// cut: what is on its way when a connection breaks may arrive or not, and without
// a receipt no one could say what Last-Event-ID must be.
const receipt = "receipt"

// done is the type of the event that is the last by agreement.
const done = "done"

// step is a line of a script.
type step struct {
	do    action
	event sse.Event
	want  string // the event's data as it must arrive
}

// script is what a server has to say. It is a log: a client begins after the
// event that its Last-Event-ID names, and meets what is not an event once.
type script []step

// lineEnds is what the wire does to data.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

func say(event sse.Event) step {
	return step{do: send, event: event, want: lineEnds.Replace(event.Data)}
}

// after is where a client resumes: at the step after the one with the id. It is
// -1 if there is none.
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

// types are the names that a browser must listen to.
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

// traits are the ways in which clients differ from HTML 9.2, and from each
// other.
type traits struct {
	// A block that is nothing but an id moves the last event ID.
	//
	// HTML 9.2.6: "Set the last event ID string of the event source to the value
	// of the last event ID buffer", before it looks at the data. Chromium and
	// WebKitGTK 2.50 do, Firefox does not.
	idOnly bool

	// An event that has no id of its own is reported without one.
	ownID bool

	// An id counts as soon as its line has arrived. If the connection is cut
	// before the rest does, the event is lost: so nothing that has an id is cut.
	earlyID bool

	// Last-Event-ID is given to fetch as a string, which takes ASCII and makes
	// something else of the rest, or throws: so nothing is resumed after an id
	// that is not ASCII.
	asciiID bool

	// Every block is reported as an event, also one that is only an id. If there
	// is nothing in it, as in one that ends a comment, it cannot be told from an
	// event without data: so neither is compared.
	allBlocks bool

	// A server of another origin that cannot be reached is the end for good, too: so
	// after a restart, the page comes back by hand.
	needsServer bool

	// It can be told that a name is one of this machine.
	foreignHost bool

	// While it waits on HTTP/2, it notices neither that the stream is reset nor
	// that the connection is closed: so there, cuts are ends of the response.
	// (WebKitGTK with libsoup 3.2: nothing wakes the reader of the body.)
	blindHTTP2 bool

	// A response that ends within its head is the end for good: so where connections
	// break at random, the page comes back by hand.
	//
	// HTML 9.2.3: "if res is a network error, then reestablish the connection, unless
	// the user agent knows that to be futile". Firefox takes this error for futile, and
	// Chromium half a head for a whole one, which is not that of an event stream.
	givesUp bool

	// Events of a type that begins with sse. are reported too.
	allTypes bool

	// What the client makes of an event, if not nil.
	mangle func(received) received
}

// fit returns the script without what the client cannot do.
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

// outcome is what became of a script.
type outcome struct {
	events   []received
	requests []string // the Last-Event-ID of each
}

// play is what the client must receive, and what it must ask for.
func (s script) play(tr traits) outcome {
	p := player{script: s, traits: tr, met: map[int]bool{}}
	for pos := 0; pos >= 0; pos = p.connect(pos) {
	}
	return p.outcome
}

// player is a client on paper.
type player struct {
	outcome
	script script
	traits traits
	lastID string
	met    map[int]bool // the steps that were, of those that are met once
}

// connect plays one connection, and returns where the next begins, or -1.
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
			if !p.met[pos] {
				p.met[pos] = true
				p.move(step.event.ID)
			}
		case cut, cutInside, end:
			if !p.met[pos] {
				p.met[pos] = true
				return p.script.after(p.lastID)
			}
		}
	}
	return -1
}

// move is for a block that is only an id.
func (p *player) move(id string) {
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
