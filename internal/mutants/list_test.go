package mutants

// mutant is a change in a file of package sse. The text old, which the file contains
// exactly once, becomes new.
type mutant struct {
	name, file, old, new string
	steps                int // the property must fail within so many steps; if zero, defaultSteps
}

const defaultSteps = 30_000

var list = []mutant{
	// A range of events begins or ends one event too early or too late.
	{
		name: "the event at a position counts as after it", file: "chain.go",
		old: "return c.items[low+i].seq > seq", new: "return c.items[low+i].seq >= seq",
	},
	{
		name: "the first event after a position is skipped", file: "chain.go",
		old: "return low + sort.Search", new: "return 1 + low + sort.Search",
	},
	{
		name: "the last event before the window is lost", file: "subscriber.go",
		old: "if s.cursor.Seq < w.base.Seq {\n\t\tb.fetch",
		new: "if s.cursor.Seq+1 < w.base.Seq {\n\t\tb.fetch",
	},
	{
		name: "the first event of a page is lost", file: "subscriber.go",
		old: "b.fetch, b.after, b.through = true, s.cursor, w.base",
		new: "b.fetch, b.after, b.through = true, s.cursor, w.base\n\t\tb.after.Seq++",
	},
	{
		name: "a full batch counts as the last batch", file: "subscriber.go",
		old: "\tif more {\n\t\treturn false\n\t}\n", new: "", steps: 100_000,
	},
	{
		name: "the last N are one event too few", file: "window_locate.go",
		old: "if n--; n == 0 {", new: "if n--; n <= 1 {",
	},
	{
		name: "the last N are one event too many", file: "window_locate.go",
		old: "if n--; n == 0 {", new: "if n--; n == -1 {",
	},
	{
		name: "a start time excludes the events of that time", file: "window_locate.go",
		old: "if e.time >= unixNano {", new: "if e.time > unixNano {",
	},
	{
		name: "the earliest position is after the first event", file: "window_locate.go",
		old: "return Position{w.epoch, lost.seq, lost.check}\n}\n\n// invalidReason",
		new: "return Position{w.epoch, lost.seq + 1, 0}\n}\n\n// invalidReason",
	},

	// The transitions between stored events in the log, stored events in memory (the
	// window), and new events.
	{
		name: "the last event of a batch is repeated", file: "subscriber.go",
		old: "s.cursor = b.entries[n-1].position(w.epoch)",
		new: "s.cursor = b.entries[max(0, n-2)].position(w.epoch)",
	},
	{
		name: "a page in the middle counts as the last page", file: "subscriber.go",
		old: "b.entries = append(b.entries, entries...); len(entries) == 0 {",
		new: "b.entries = append(b.entries, entries...); len(entries) < 100 {",
	},
	{
		name: "every third subscriber is not woken", file: "wake.go",
		old: "\tcase s.idle:\n\t\ts.idle = false\n\t\ts.transport.wake()\n",
		new: "\tcase s.idle:\n\t\tif s.idle = s.id%3 == 0; !s.idle {\n\t\t\ts.transport.wake()\n\t\t}\n",
	},
	{
		name: "the first member of a dirty chain is not woken", file: "wake.go",
		old: "for i, n := len(chain.members)-1, 0; i >= 0;",
		new: "for i, n := len(chain.members)-1, 0; i > 0;",
	},
	{
		name: "only the members of an event's first chain are woken", file: "wake.go",
		old: "case n == 0 || chain.dirty:", new: "case n == 0 || chain.dirty || room < inlineWakes:",
	},
	{
		name: "a removal before the broker follows the log is not noticed", file: "follow.go",
		old: "case x.Position.Seq > st.window.last.Seq+1:",
		new: "case x.Position.Seq > st.window.last.Seq+100:",
	},
	{
		name: "a page is skipped if the socket has no room", file: "parked.go",
		old:   "j.batch, j.resumePoint = p.page.batch, p.page.resumePoint",
		new:   "j.batch = p.page.batch",
		steps: 300_000,
	},
	{
		name: "the rest of a batch is skipped if the socket has no room", file: "parked.go",
		old: "p.cursor, p.sentSeq = at, at.Seq", new: "p.sentSeq = at.Seq",
	},

	// Invalid positions.
	{
		name: "a stale epoch is accepted", file: "window_locate.go",
		old: "case p.Epoch != w.epoch:\n\t\treturn GapEpoch",
		new: "case p.Epoch == 0:\n\t\treturn GapEpoch",
	},
	{
		name: "a position after the end is accepted", file: "window_locate.go",
		old: "case p.Seq > w.last.Seq:\n\t\treturn GapFuture",
		new: "case p.Seq == 0 && p.Check > 0:\n\t\treturn GapFuture",
	},
	{
		name: "a wrong check is accepted", file: "window_locate.go",
		old: "known.Check != p.Check && known.Check != 0", new: "known.Seq != p.Seq",
	},
	{
		name: "an unknown ID means the end", file: "window_locate.go",
		old: "return w.gap(start.ID, GapUnknown, sel, now)", new: "return w.last, nil",
	},
	{
		name: "an ID used twice means its latest event", file: "window_locate.go",
		old:   "\tfor len(entries) > 0 {\n\t\tnext := 0\n",
		new:   "\tslices.Reverse(entries)\n\tfor len(entries) > 0 {\n\t\tnext := 0\n",
		steps: 300_000,
	},

	// The last event ID of the client.
	{
		name: "an ID is recorded before delivery", file: "attempt.go",
		old: "return d.previousID()", new: "return d.lastEventID()",
	},

	// The cursors that the broker sends.
	{
		name: "a cursor is one event ahead", file: "subscriber.go",
		old:   "b.cursor, s.sentSeq = s.cursor, s.cursor.Seq",
		new:   "b.cursor, s.sentSeq = Position{s.cursor.Epoch, s.cursor.Seq + 1, 0}, s.cursor.Seq",
		steps: 300_000,
	},
	{
		name: "the cursor is sent before the gap", file: "render.go",
		old: "if s.gap != nil || s.opts.cursorForm == CursorOff {", new: "if s.opts.cursorForm == CursorOff {",
		steps: 300_000,
	},

	// Gaps.
	{
		name: "no gap is sent after a known loss", file: "subscriber.go",
		old: "\tif s.gap == nil {\n\t\ts.gap = &Gap{Asked: s.gapStart(), Why: why}",
		new: "\tif s.gap == nil && s.knownLossSeq == 0 {\n" +
			"\t\ts.gap = &Gap{Asked: s.gapStart(), Why: why}",
	},
	{
		name: "the gap of a page is not sent", file: "subscriber.go",
		old: "\tlost := page.Lost\n", new: "\tlost := Position{}\n",
	},
	{
		name: "the gap at the start is not sent", file: "admit.go",
		old: "s.gap = &Gap{Asked: gap.Asked, Why: gap.Why}\n\t\tif asked",
		new: "s.gap = &Gap{Asked: gap.Asked, Why: gap.Why}\n" +
			"\t\tdefer func() { s.gap = nil }()\n\t\tif asked",
	},
	{
		name: "a gap is sent twice", file: "subscriber.go",
		old: "\ts.noteKnownLoss(lost)\n\ts.gap, s.sentSeq = nil, s.cursor.Seq\n",
		new: "\tif s.knownLossSeq > 0 || !retained {\n\t\ts.noteKnownLoss(lost)\n\t}\n" +
			"\ts.knownLossSeq = max(s.knownLossSeq, 1)\n\ts.gap, s.sentSeq = nil, s.cursor.Seq\n",
	},
	{
		name: "a gap begins where the gap before it began", file: "subscriber.go",
		old: "if s.knownLossSeq > s.cursor.Seq {\n\t\treturn Position",
		new: "if s.knownLossSeq == 0 {\n\t\treturn Position",
	},
	{
		name: "a gap begins one event late", file: "subscriber.go",
		old: "\treturn s.cursor.String()\n}",
		new: "\treturn Position{s.cursor.Epoch, s.cursor.Seq + 1, 0}.String()\n}",
	},
	{
		name: "a gap ends too early", file: "subscriber.go",
		old: "b.gap.Available = lost.String()", new: "b.gap.Available = s.cursor.String()",
	},
	{
		name: "a gap ends too late", file: "subscriber.go",
		old: "s.takeGap(b, Position{w.epoch, lost.seq, lost.check}, len(retained) > 0)",
		new: "s.takeGap(b, w.last, len(retained) > 0)",
	},
	{
		name: "a gap skips stored events", file: "subscriber.go",
		old: "if !retained {\n\t\ts.cursor = lost",
		new: "if retained || !retained {\n\t\ts.cursor = lost",
	},
	{
		name: "LossNew delivers stored events", file: "subscriber.go",
		old: "\tcase LossNew:\n\t\tif s.cursor.Seq < w.last.Seq {",
		new: "\tcase LossNew:\n\t\tif false {",
	},
	{
		name: "LossRefuse refuses no subscriber", file: "subscriber.go",
		old: "\tcase LossRefuse:\n\t\ts.endCause = ErrLagging", new: "\tcase LossRefuse:",
	},

	// Falling behind.
	{
		name: "the lag policy is never applied", file: "lag.go",
		old: "if !s.caughtUp {", new: "if !s.caughtUp || s.caughtUp {",
	},
	{
		name: "a subscriber that is still catching up counts as lagging", file: "lag.go",
		old: "if !s.caughtUp {", new: "if false {",
	},
	{
		name: "LagSkip skips the newest event", file: "lag.go",
		old: "p := skipped.position(w.epoch)", new: "p := w.last",
	},
	{
		name: "the first gap of a lagging subscriber is not sent", file: "lag.go",
		old: "s.noteKnownLoss(through); s.knownLossSeq != known {",
		new: "s.noteKnownLoss(through); known > 0 && s.knownLossSeq != known {",
	},
	{
		name: "LagLatest delivers superseded events", file: "lag.go",
		old: "if e.seq > s.conflateThrough || !s.superseded(e) {",
		new: "if true || !s.superseded(e) {",
	},
	{
		name: "LagLatest drops the latest event", file: "lag.go",
		old: "if e.seq > s.conflateThrough || !s.superseded(e) {",
		new: "if e.seq != s.conflateThrough && (e.seq > s.conflateThrough || !s.superseded(e)) {",
	},

	// The loss marks of the window: positions of the newest events that it has lost.
	{
		name: "an unused topic is removed with its loss mark", file: "window_topics.go",
		old: "if t.lost.seq <= w.lossFloor.seq {", new: "if true {",
	},
	{
		name: "the loss floor is ignored", file: "window_topics.go",
		old: "\t\tt.lost = w.lossFloor\n", new: "", steps: 200_000,
	},
	{
		name: "the loss floor is not raised", file: "window_topics.go",
		old: "w.lossFloor.raise(oldest.lost)", new: "", steps: 200_000,
	},
	{
		name: "the removal of an event on several topics leaves no loss mark", file: "window_topics.go",
		old: "\tc.lost.raise(e.lossMark())\n",
		new: "\tif len(e.topics) == 1 {\n\t\tc.lost.raise(e.lossMark())\n\t}\n",
	},
	{
		name: "a lost event leaves no mark for patterns", file: "window_topics.go",
		old: "c.topic.node.Update(func(m *lossMark) { m.raise(e.lossMark()) })", new: "",
	},

	// Chains: the lists of the window's events by topic and by pattern.
	{
		name: "a member that moves keeps its old index", file: "membership.go",
		old: "moved.links()[moved.linkIndex].memberIndex = i\n", new: "",
	},
	{
		name: "a pattern's chain is not extended back", file: "window_topics.go",
		old: "if seq >= c.from {", new: "if seq <= w.last.Seq {",
	},
	{
		name: "a pattern's chain ignores losses before its start", file: "window_topics.go",
		old: "c.lost.raise(w.lostOfPattern(c.pattern, &summarized))", new: "_ = summarized",
	},
	{
		name: "a removed event is not skipped in a merge", file: "merge.go",
		old: "for c.index >= c.chain.first && c.index < len(c.chain.items) && " +
			"c.chain.items[c.index].removed {",
		new:   "for false {",
		steps: 300_000,
	},
	{
		name: "a removed event is not skipped in a single chain", file: "window.go",
		old: "case !it.removed && !add(it.entry):", new: "case !add(it.entry):", steps: 300_000,
	},
	{
		name: "an event on two topics arrives twice", file: "merge.go",
		old: "for len(m.cursors) > 0 && m.cursors[0].seq() == e.seq {\n\t\tm.advance()\n\t}",
		new: "m.advance()",
	},
	{
		name: "the topic sent is the first, even if it is not selected", file: "membership.go",
		old: "\t\tif selects(t) {\n\t\t\treturn t.name", new: "\t\tif selects(t) || t != nil {\n\t\t\treturn t.name",
	},
}
