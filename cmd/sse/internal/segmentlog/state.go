package segmentlog

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The state file has what the segments do not contain. It is replaced as a whole. All
// that it says was true at one moment, and what happened since can be found out:
// segments after the last one of the state have no removed entries, and a removal that
// was not written is repeated.
const (
	stateName  = "state"
	stateMagic = "ssestate"

	// stateVersion is the version of the format of all files.
	stateVersion = 1
)

// logState is the content of the state file.
type logState struct {
	id       uint64 // identifies the log; it is in the headers of the segments
	epoch    uint64
	keyed    uint64 // fingerprint of the key
	segments []segmentState
	keyFiles []string
	merged   lossMark
	marks    map[string]lossMark
	rules    uint64 // hash of the rules of sweeps
	sweeps   map[time.Duration]uint64
}

// segmentState is what the state says about a segment. For the tail, last is not known.
type segmentState struct {
	base, last uint64
	turn       uint32
	marker     uint64
	sparse     bool
	live       count
	removed    bitset // nil if no entry was removed
}

func (s *segmentState) name() string { return segmentName(s.base, s.turn) }

// StateError is the error if the state file of a log is missing, damaged, or of a newer
// version. [Options.NewEpoch] opens the log nevertheless, unless the version is newer.
type StateError struct {
	Name   string // of the file
	Reason string // for example "is missing"
	Newer  bool   // the log was written by a newer version of this program
}

func (e *StateError) Error() string {
	return fmt.Sprintf("sse: the log has events, but its file %s %s", e.Name, e.Reason)
}

func appendMark(p []byte, m lossMark) []byte {
	p = binary.AppendUvarint(p, m.seq)
	p = binary.LittleEndian.AppendUint32(p, m.sum)
	return binary.LittleEndian.AppendUint64(p, uint64(m.nano))
}

func (r *reader) uint32() uint32 {
	text := r.take(4)
	if r.bad {
		return 0
	}
	return binary.LittleEndian.Uint32([]byte(text))
}

func (r *reader) mark() lossMark {
	return lossMark{place{r.uvarint(), r.uint32()}, int64(r.uint64())}
}

func (s *logState) encode() []byte {
	p := binary.LittleEndian.AppendUint32([]byte(stateMagic), stateVersion)
	for _, n := range [...]uint64{s.id, s.epoch, s.keyed, s.rules} {
		p = binary.LittleEndian.AppendUint64(p, n)
	}
	p = binary.AppendUvarint(p, uint64(len(s.segments)))
	for i := range s.segments {
		p = s.segments[i].append(p)
	}
	p = binary.AppendUvarint(p, uint64(len(s.keyFiles)))
	for _, name := range s.keyFiles {
		p = appendText(p, name)
	}
	p = appendMark(p, s.merged)
	p = binary.AppendUvarint(p, uint64(len(s.marks)))
	for _, topic := range slices.Sorted(maps.Keys(s.marks)) {
		p = appendMark(appendText(p, topic), s.marks[topic])
	}
	p = binary.AppendUvarint(p, uint64(len(s.sweeps)))
	for _, age := range slices.Sorted(maps.Keys(s.sweeps)) {
		p = binary.AppendUvarint(p, uint64(age))
		p = binary.AppendUvarint(p, s.sweeps[age])
	}
	return binary.LittleEndian.AppendUint32(p, checksum(p))
}

func (s *segmentState) append(p []byte) []byte {
	sparse := uint64(0)
	if s.sparse {
		sparse = 1
	}
	for _, n := range [...]uint64{
		s.base, s.last, uint64(s.turn), s.marker, sparse, s.live.entries, s.live.bytes,
		uint64(len(s.removed)),
	} {
		p = binary.AppendUvarint(p, n)
	}
	for _, word := range s.removed {
		p = binary.LittleEndian.AppendUint64(p, word)
	}
	return p
}

// decode returns the reason why p is not a state, or an empty string.
func (s *logState) decode(p []byte) (reason string, newer bool) {
	const numbers = len(stateMagic) + 4
	if len(p) < numbers+4 || string(p[:len(stateMagic)]) != stateMagic ||
		checksum(p[:len(p)-4]) != binary.LittleEndian.Uint32(p[len(p)-4:]) {
		return "is damaged", false
	}
	if version := binary.LittleEndian.Uint32(p[len(stateMagic):]); version != stateVersion {
		return fmt.Sprintf("has version %d, and this program knows only version %d",
			version, stateVersion), version > stateVersion
	}
	r := reader{text: string(p[numbers : len(p)-4])}
	*s = logState{id: r.uint64(), epoch: r.uint64(), keyed: r.uint64(), rules: r.uint64()}
	for range r.uvarint() {
		if s.segments = append(s.segments, r.segment()); r.bad {
			break
		}
	}
	for range r.uvarint() {
		if s.keyFiles = append(s.keyFiles, r.sized()); r.bad {
			break
		}
	}
	s.merged = r.mark()
	s.marks = map[string]lossMark{}
	for range r.uvarint() {
		topic := r.sized()
		if s.marks[topic] = r.mark(); r.bad {
			break
		}
	}
	s.sweeps = map[time.Duration]uint64{}
	for range r.uvarint() {
		age := time.Duration(r.uvarint())
		if s.sweeps[age] = r.uvarint(); r.bad {
			break
		}
	}
	if r.bad || r.text != "" {
		return "is damaged", false
	}
	return "", false
}

func (r *reader) segment() segmentState {
	s := segmentState{
		base: r.uvarint(), last: r.uvarint(), turn: uint32(r.uvarint()), marker: r.uvarint(),
		sparse: r.uvarint() != 0, live: count{r.uvarint(), r.uvarint()},
	}
	words := r.uvarint()
	if words > uint64(len(r.text)/8) {
		r.fail()
		return s
	}
	for range words {
		s.removed = append(s.removed, r.uint64())
	}
	return s
}

// readState returns nil if there is no state file.
func (f *files) readState() (*logState, error) {
	p, err := f.read(stateName)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &logState{}
	if reason, newer := s.decode(p); reason != "" {
		return nil, &StateError{f.path(stateName), reason, newer}
	}
	return s, nil
}

// writeState replaces the state file. Only one goroutine may call it at a time, because
// an older state must not replace a newer one: l.stating is held.
func (l *Log) writeState() error {
	p := l.currentState().encode()
	err := l.space.retry(func() error { return l.files.replace(stateName, p) })
	if err != nil {
		l.mu.Lock()
		l.changedState = true
		l.mu.Unlock()
		return fmt.Errorf("sse: the state of the log in %s: %w", l.dir, err)
	}
	return nil
}

// currentState returns the state as it is now.
func (l *Log) currentState() *logState {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changedState = false
	s := &logState{
		id: l.id, epoch: l.epoch, keyed: l.keyed, keyFiles: l.keys.names(),
		rules: rulesHash(l.rules), sweeps: maps.Clone(l.sweeps),
	}
	l.losses.mu.RLock()
	s.merged, s.marks = l.losses.merged, maps.Clone(l.losses.marks)
	l.losses.mu.RUnlock()
	for _, segment := range *l.segments.Load() {
		state := segmentState{
			base: segment.base, last: segment.last, turn: segment.turn, marker: segment.marker,
			sparse: segment.sparse, live: segment.live,
		}
		if removed := segment.removed.Load(); removed != nil {
			state.removed = slices.Clone(*removed)
		}
		s.segments = append(s.segments, state)
	}
	return s
}
