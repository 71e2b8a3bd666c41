package property

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sse-go/sse"
)

// steps lists the possible steps. The probability of a step is proportional to its
// weight. The function do executes the step, and returns a description for the
// message of a failure.
var steps = []struct {
	weight int
	name   string
	do     func(w *world) string
}{
	{100, "publish", (*world).publishOne},
	{12, "burst", (*world).burst},
	{8, "race", (*world).race},
	{16, "subscribe", (*world).subscribe},
	{8, "unsubscribe", (*world).unsubscribe},
	{8, "run again", (*world).restartSubject},
	{8, "reconnect", (*world).reconnect},
	{6, "cut", (*world).cut},
	{6, "kick", (*world).kick},
	{30, "stall", (*world).stall},
	{5, "restart", (*world).restart},
	{25, "time", (*world).passTime},
	{1, "flood", (*world).flood},
	{3, "nothing", func(*world) string { return "" }},
}

// step executes a random step. With a probability of 60%, it then waits until the
// world has settled.
func (w *world) step() {
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	n := w.rand.IntN(total)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			w.count(s.name)
			w.steps = append(w.steps, fmt.Sprintf("group %d %s %s", w.group.Load(), s.name, s.do(w)))
			break
		}
	}
	if w.chance(60) {
		w.settle()
	}
}

// The topics and patterns of all programs. They are few, so that subscribers
// share topics.
var (
	someTopics   = []string{"a", "b", "room/1", "room/2", "room/1/chat", "x*y"}
	somePatterns = []string{"**", "*", "room/*", "room/**", "room/1", "*/1", "*/*/chat", "rare/*", "a"}
)

// drawNames draws at random the topics and patterns that this program uses.
func (w *world) drawNames() {
	w.topics, w.patterns = slices.Clone(someTopics), slices.Clone(somePatterns)
	for _, names := range []*[]string{&w.topics, &w.patterns} {
		all := *names
		w.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		*names = all[:1+w.rand.IntN(len(all))]
	}
}

func (w *world) topic() string {
	if w.chance(5) {
		return fmt.Sprintf("rare/%d", w.rand.IntN(50))
	}
	return w.topics[w.rand.IntN(len(w.topics))]
}

func (w *world) pattern() sse.Pattern {
	p, err := sse.ParsePattern(w.patterns[w.rand.IntN(len(w.patterns))])
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// event returns a random event and its topics.
func (w *world) event() (sse.Event, []string) {
	var topics []string
	for range w.pick(0, 1, 1, 1, 1, 2, 3) {
		topics = append(topics, w.topic())
	}
	event := sse.Event{}
	if w.chance(20) {
		event.Type = "tick"
	}
	switch w.rand.IntN(20) {
	case 0:
		event.ID = fmt.Sprintf("own-%d", w.tokens.Load()) // unique
	case 1:
		event.ID = fmt.Sprintf("twice-%d", w.rand.IntN(20))
	}
	switch w.rand.IntN(10) {
	case 0:
		event.Data = strings.Repeat("x", w.rand.IntN(5000))
	case 1:
		event.Data = strings.Repeat("a line\n", w.rand.IntN(10)) + "end"
	}
	return event, topics
}

func (w *world) publishOne() string {
	event, topics := w.event()
	w.publish(event, topics)
	return fmt.Sprintf("%d at %d on %q, id %q, %d bytes",
		w.tokens.Load()-1, w.newest.Load(), topics, event.ID, len(event.Data))
}

// burst publishes up to 40 events, with one call for each or with one call for all.
func (w *world) burst() string {
	n := 1 + w.rand.IntN(40)
	event, topics := w.event()
	vary, atOnce := w.chance(50), w.chance(30)
	var events []sse.Event
	var all [][]string
	for range n {
		if vary {
			event, topics = w.event()
		}
		if atOnce {
			events, all = append(events, event), append(all, topics)
		} else {
			w.publish(event, topics)
		}
	}
	w.publishAll(events, all)
	return fmt.Sprintf("of %d up to %d", n, w.newest.Load())
}

// race publishes several events concurrently.
func (w *world) race() string {
	n := 2 + w.rand.IntN(6)
	var wg sync.WaitGroup
	for range n {
		event, topics := w.event()
		wg.Go(func() { w.publish(event, topics) })
	}
	wg.Wait()
	return fmt.Sprintf("of %d up to %d", n, w.newest.Load())
}

func (w *world) selection() sse.Selection {
	sel := sse.Selection{WithTopic: w.chance(50)}
	if w.chance(70) {
		sel.Topics = w.distinct(1 + w.rand.IntN(3))
	}
	if w.chance(50) {
		sel.Patterns = append(sel.Patterns, w.pattern())
		if w.chance(30) {
			sel.Patterns = append(sel.Patterns, w.pattern())
		}
		if len(sel.Patterns) == 2 && sel.Patterns[0] == sel.Patterns[1] {
			sel.Patterns = sel.Patterns[:1]
		}
	}
	sel.Lag = []sse.LagPolicy{sse.LagDisconnect, sse.LagSkip, sse.LagLatest}[w.rand.IntN(3)]
	sel.Loss = []sse.LossPolicy{"", "", sse.LossNew, sse.LossRefuse}[w.rand.IntN(4)]
	sel.MaxLag = w.pick(1, 3, 10, 50)
	sel.MaxLagBytes = int64(w.pick(300, 5000, 100000, 100000))
	return sel
}

func (w *world) distinct(n int) []string {
	var topics []string
	seen := make(map[string]bool)
	for range n {
		if topic := w.topic(); !seen[topic] {
			seen[topic] = true
			topics = append(topics, topic)
		}
	}
	return topics
}

// subscribe adds a subject, unless the program has reached its limit of
// subjects.
func (w *world) subscribe() string {
	if len(w.subjects) >= w.maxSubjects {
		return "the limit is reached"
	}
	s := &subject{w: w, called: w.chance(25), sel: w.selection()}
	if w.chance(20) {
		s.filter = 2 + w.rand.IntN(3)
		s.sel.Filter = func(e *sse.Entry) bool { return passes(e.Event.Data, s.filter) }
	}
	w.drawStart(s)
	w.mu.Lock()
	s.n = len(w.all)
	w.all = append(w.all, s)
	w.mu.Unlock()
	w.subjects = append(w.subjects, s)
	s.run()
	return s.String()
}

// drawStart draws the start of a subject.
func (w *world) drawStart(s *subject) {
	_, n := w.current()
	switch w.rand.IntN(8) {
	case 0:
		s.start.Earliest = true
	case 1:
		s.start.Last = 1 + w.rand.IntN(12)
	case 2:
		s.ago = time.Duration(1+w.rand.IntN(20)) * time.Second
	case 3:
		s.start.Time = time.Now().Add(-time.Duration(w.rand.IntN(20)) * time.Second).UTC()
	case 4, 5:
		if l := w.lives[w.rand.IntN(n+1)]; len(l.events) > 0 {
			w.drawID(s, l.events[w.rand.IntN(len(l.events))])
		}
	}
}

// drawID makes a subject start after the event e, or after an ID or position that
// no event has.
func (w *world) drawID(s *subject, e *published) {
	switch w.rand.IntN(8) {
	case 0:
		s.start.ID = "mine"
	case 1:
		s.start.After = e.at
		s.start.After.Seq += 1000000
	case 2:
		s.start.After = e.at
		s.start.After.Check++
	case 3:
		s.start.After = e.at
		s.start.After.Epoch++
	case 4, 5:
		if s.start.ID = e.event.ID; e.event.ID == "" {
			s.start.After = e.at
		}
	default:
		s.start.After = e.at
	}
}

// drawSubject returns a random subject, or nil if there are none.
func (w *world) drawSubject() *subject {
	if len(w.subjects) == 0 {
		return nil
	}
	return w.subjects[w.rand.IntN(len(w.subjects))]
}

// unsubscribe stops a subject, checks its record, and removes it.
func (w *world) unsubscribe() string {
	s := w.drawSubject()
	if s == nil {
		return "no subject"
	}
	s.stop()
	w.settle()
	w.verify(s)
	for i := range w.subjects {
		if w.subjects[i] == s {
			w.subjects = append(w.subjects[:i], w.subjects[i+1:]...)
			break
		}
	}
	return fmt.Sprint(s.n)
}

// restartSubject stops a subject and runs it again. With a probability of 50%,
// events are published in between.
func (w *world) restartSubject() string {
	s := w.drawSubject()
	if s == nil {
		return "no subject"
	}
	s.stop()
	if w.chance(50) {
		w.burst()
	}
	s.run()
	return fmt.Sprint(s.n)
}

func (w *world) reconnect() string {
	s := w.drawSubject()
	if s == nil {
		return "no subject"
	}
	s.reconnect()
	return fmt.Sprint(s.n)
}

func (w *world) cut() string {
	w.server.CutAll()
	return ""
}

func (w *world) kick() string {
	broker, _ := w.current()
	list := broker.Subscribers()
	if len(list) == 0 {
		return "no subscriber"
	}
	id := list[w.rand.IntN(len(list))].ID
	broker.Kick(func(s sse.Subscriber) bool { return s.ID == id })
	return fmt.Sprintf("the broker's subscriber %d", id)
}

func (w *world) stall() string {
	s := w.drawSubject()
	if s == nil {
		return "no subject"
	}
	on := w.chance(50)
	s.stall(on)
	return fmt.Sprint(s.n, " ", on)
}

// restart shuts the broker down and begins a new broker, in one of three ways.
func (w *world) restart() string {
	old, _ := w.current()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	way := w.pick(0, 1, 2)
	if way == 0 { // Shutdown ends every stream before the new broker begins
		_ = old.Shutdown(ctx)
	}
	w.begin()
	switch way {
	case 1: // the context of Shutdown is canceled: streams end at once
		cancel()
	case 2: // connections are cut, as by a crash
		w.server.CutAll()
	}
	_ = old.Shutdown(ctx)
	return fmt.Sprint("in way ", way)
}

func (w *world) passTime() string {
	d := time.Duration(w.pick(1, 10, 50, 500, 2000, 2000, 16000)) * time.Millisecond
	time.Sleep(d)
	return d.String()
}

// flood publishes an event on each of 17408 topics. That is more topics than those for
// which a broker records the newest lost event. Because this takes long, flood publishes
// only with a probability of 10%. If the world has a log, flood publishes nothing.
func (w *world) flood() string {
	_, n := w.current()
	if w.rand.IntN(10) > 0 || w.log != nil {
		return "skipped"
	}
	w.settle()
	w.count("flooded")
	if _, ok := w.flooded[w.lives[n]]; !ok {
		w.flooded[w.lives[n]] = int(w.group.Load())
	}
	for i := range 17 << 10 {
		w.publish(sse.Event{}, []string{fmt.Sprintf("flood/%d", i)})
	}
	return "up to " + fmt.Sprint(w.newest.Load())
}

// countEnd counts the reason for which a stream has ended.
func (w *world) countEnd(err error) {
	for _, reason := range []error{sse.ErrPeerGone, sse.ErrShutdown, sse.ErrLagging, sse.ErrKicked,
		sse.ErrExpired, sse.ErrClosed} {
		if errors.Is(err, reason) {
			w.count(reason.Error())
			return
		}
	}
	w.count(fmt.Sprint("other end: ", err))
}

func (w *world) count(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[name]++
}
