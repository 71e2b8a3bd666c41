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
)

// The file has a line of JSON for each entry, in order, also for those that were
// removed, and one for each epoch, which is that of all entries before it too:
//
//	{"epoch":7}
//	{"seq":1,"check":4,"time":1700000000000000000,"topics":["a"],"data":"aGVsbG8="}
//
// Bytes after the last line end are of an Append that did not return: nobody has
// seen it. A line that is damaged, or out of order, means that entries are lost
// which were kept: the log ends before it, in another epoch.
type line struct {
	Epoch  uint64        `json:"epoch,omitempty"`
	Seq    uint64        `json:"seq,omitempty"`
	Check  uint32        `json:"check,omitempty"`
	Time   int64         `json:"time,omitempty"` // nanoseconds since 1970
	Topics []string      `json:"topics,omitempty"`
	ID     string        `json:"id,omitempty"`
	Type   string        `json:"type,omitempty"`
	Data   []byte        `json:"data,omitempty"` // need not be UTF-8
	Retry  time.Duration `json:"retry,omitempty"`
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

// Open returns the log in a file, which it creates if there is none. An Append
// that has returned outlives the process, however that ends. Only one process may
// have the file open. The caller must close the log.
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

func (l *Log) loadLocked() error {
	epoch, damaged, err := l.scanLocked(bufio.NewReader(l.file))
	if err != nil {
		return err
	}
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	if epoch == 0 || damaged {
		epoch = newEpoch()
		if err := l.writeLinesLocked([]*line{{Epoch: epoch}}); err != nil {
			return err
		}
	}
	l.beginLocked(epoch)
	l.trimLocked()
	return nil
}

// scanLocked reads entries up to the end, or to damage.
func (l *Log) scanLocked(r *bufio.Reader) (epoch uint64, damaged bool, err error) {
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
		if n.Epoch != 0 {
			epoch = n.Epoch
		} else {
			entry := n.entry()
			if n.Seq != l.last.Seq+1 || n.Check != entry.Check() {
				return epoch, true, nil
			}
			l.entries = append(l.entries, entry)
			l.last = entry.Position
		}
		l.size += int64(len(text))
	}
}

// writeLocked keeps entries in the file, if there is one: all or none.
func (l *Log) writeLocked(entries []sse.Entry) error {
	if l.file == nil || len(entries) == 0 {
		return nil
	}
	lines := make([]*line, len(entries))
	for i := range entries {
		lines[i] = lineOf(&entries[i])
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
	// What may be there must not come back when the file is opened again.
	if err := errors.Join(l.file.Truncate(l.size), l.file.Sync()); err != nil {
		l.err = fmt.Errorf("reflog: cannot undo a failed append: %w", err)
		l.wakeLocked()
	}
	return err
}
