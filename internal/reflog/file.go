package reflog

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/epoch"
)

// A line is one line of the file, in JSON. The file has a line for each epoch, and
// a line for each entry in order, including removed entries. The last epoch in the
// file is the epoch of all entries. Each epoch's line has the same secret, the key
// for [sse.Entry.Check]:
//
//	{"epoch":7,"secret":"…"}
//	{"seq":1,"check":4,"time":1700000000000000000,"topics":["a"],"data":"aGVsbG8="}
//
// A line for a request with a key precedes the lines of its entries:
//
//	{"key":"aw==","owner":"bw==","digest":"…","count":1}
//
// Bytes after the last line end were written by an Append that did not return.
// Open removes them: no reader has received those entries. A damaged line or a line
// out of order means that stored entries are lost. Open then removes that line and
// all later ones, and begins a new epoch.
type line struct {
	Epoch  uint64        `json:"epoch,omitempty"`
	Secret []byte        `json:"secret,omitempty"`
	Seq    uint64        `json:"seq,omitempty"`
	Check  uint32        `json:"check,omitempty"`
	Time   int64         `json:"time,omitempty"` // nanoseconds since 1970
	Topics []string      `json:"topics,omitempty"`
	ID     string        `json:"id,omitempty"`
	Type   string        `json:"type,omitempty"`
	Data   []byte        `json:"data,omitempty"` // need not be UTF-8
	Retry  time.Duration `json:"retry,omitempty"`

	Key    []byte `json:"key,omitempty"`
	Owner  []byte `json:"owner,omitempty"`
	Digest []byte `json:"digest,omitempty"`
	Count  int    `json:"count,omitempty"` // number of the request's entries
}

func lineOf(entry *sse.Entry) *line {
	return &line{
		Seq: entry.Position.Seq, Check: entry.Position.Check,
		Time: entry.Time.UnixNano(), Topics: entry.Topics,
		ID: entry.Event.ID, Type: entry.Event.Type, Data: []byte(entry.Event.Data),
		Retry: entry.Event.Retry,
	}
}

func (n *line) entry() sse.Entry {
	return sse.Entry{
		Position: sse.Position{Seq: n.Seq, Check: n.Check},
		Time:     time.Unix(0, n.Time), Topics: n.Topics,
		Event: sse.Event{ID: n.ID, Type: n.Type, Data: string(n.Data), Retry: n.Retry},
	}
}

// Open returns the log in the file at path, and creates the file if it does not
// exist. After Append has returned, its entries survive even if the process is
// killed. Only one process may have the file open. The caller must close the log.
func Open(path string, opts *Options) (*Log, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := New(opts)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file = file
	if err := l.loadLocked(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

// loadLocked reads the file, removes an invalid end, and begins a new epoch if the
// file was empty or damaged.
func (l *Log) loadLocked() error {
	last, damaged, err := l.scanLocked(bufio.NewReader(l.file))
	if err != nil {
		return err
	}
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	if last == 0 || damaged {
		last = epoch.New()
		if err := l.writeLinesLocked([]*line{{Epoch: last, Secret: l.secret[:]}}); err != nil {
			return err
		}
	}
	l.beginLocked(last)
	l.trimLocked()
	return nil
}

// scanLocked reads the entries up to the end of the file or up to a damaged line,
// and reports whether there was a damaged line. It sets l.size to the length of the
// valid part. It returns the last epoch in that part, or zero if there is none.
func (l *Log) scanLocked(r *bufio.Reader) (epoch uint64, damaged bool, err error) {
	var request *keyedRequest // the request whose entries are being read, or nil
	defer func() {
		if request != nil {
			l.undoRequestLocked(request)
		}
	}()
	for {
		text, err := r.ReadBytes('\n')
		if err == io.EOF {
			return epoch, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		var n line
		if json.Unmarshal(text, &n) != nil {
			return epoch, true, nil
		}
		switch {
		case n.Epoch != 0:
			if epoch = n.Epoch; copy(l.secret[:], n.Secret) != len(l.secret) {
				return epoch, true, nil
			}
		case n.Key != nil:
			if len(n.Digest) != len(keyed{}.digest) {
				return epoch, true, nil
			}
			request = l.beginRequestLocked(&n)
		case !l.loadEntryLocked(&n):
			return epoch, true, nil
		}
		if request != nil && l.endRequestLocked(request) {
			request = nil
		}
		l.size += int64(len(text))
	}
}

// loadEntryLocked adds the entry of the line n to the log, if n is undamaged and in
// order. It reports whether it is.
func (l *Log) loadEntryLocked(n *line) bool {
	entry := n.entry()
	if n.Seq != l.last.Seq+1 || n.Check != entry.Check(l.secret) {
		return false
	}
	l.entries = append(l.entries, entry)
	l.last = entry.Position
	return true
}

// linesOf returns the lines of entries.
func linesOf(entries []sse.Entry) []*line {
	lines := make([]*line, len(entries))
	for i := range entries {
		lines[i] = lineOf(&entries[i])
	}
	return lines
}

// writeLocked appends lines to the file, if there is one. It writes all of them
// or none.
func (l *Log) writeLocked(lines []*line) error {
	if l.file == nil || len(lines) == 0 {
		return nil
	}
	return l.writeLinesLocked(lines)
}

func (l *Log) writeLinesLocked(lines []*line) error {
	var text []byte
	for _, n := range lines {
		p, err := json.Marshal(n)
		if err != nil {
			return err
		}
		text = append(append(text, p...), '\n')
	}
	_, err := l.file.WriteAt(text, l.size)
	if err == nil {
		err = l.file.Sync()
	}
	if err == nil {
		l.size += int64(len(text))
		return nil
	}
	// A part of the text may be in the file. Remove it, so that the next Open does
	// not read these entries.
	if err := errors.Join(l.file.Truncate(l.size), l.file.Sync()); err != nil {
		l.err = fmt.Errorf("reflog: cannot undo a failed append: %w", err)
		l.wakeLocked()
	}
	return err
}
