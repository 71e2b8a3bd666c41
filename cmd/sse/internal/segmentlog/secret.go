package segmentlog

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/sse-go/sse"
)

// The key file has the secret of the positions. Every client receives positions of
// events that it must not read, and could find out their content without the secret:
// see [sse.Entry.Check]. The file is written before the first entry, and only its owner
// may read it.
//
// The state file has only a fingerprint of the key, so that the log notices a key file
// that is missing or that belongs to another log.
const keyName = "key"

const keyForm = "sse log, key %032x\n"

// MissingKeyError is the error if a log has entries, but not the key of their positions.
// [Options.NewEpoch] opens the log nevertheless.
type MissingKeyError struct {
	Name   string // of the key file
	Reason string // for example "is missing"
}

func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("sse: the log has events, but its key file %s %s", e.Name, e.Reason)
}

// secret is the content of the key file. If there is none, lost is the reason.
type secret struct {
	key  [16]byte
	lost string
}

func (l *Log) readSecret() (secret, error) {
	p, err := l.files.read(keyName)
	if isMissing(err) {
		return secret{lost: "is missing"}, nil
	}
	if err != nil {
		return secret{}, err
	}
	var key []byte
	_, err = fmt.Sscanf(string(p), keyForm, &key)
	if err != nil || len(key) != len(secret{}.key) {
		return secret{lost: "is damaged"}, nil
	}
	return secret{key: [16]byte(key)}, nil
}

// drawSecret draws a key and writes the key file.
func (l *Log) drawSecret() (secret, error) {
	var s secret
	_, _ = rand.Read(s.key[:]) // never returns an error
	return s, l.files.replace(keyName, fmt.Appendf(nil, keyForm, s.key[:]))
}

// fingerprint identifies the key, but does not reveal it.
func (s *secret) fingerprint() uint64 {
	return uint64((&sse.Entry{Time: time.Unix(0, 0)}).Check(s.key))
}

// position returns the position of an entry. Its check depends on the content through
// the sum of the frame, and on the key.
func (l *Log) position(p place) sse.Position {
	if p.seq == 0 {
		return sse.Position{Epoch: l.epoch}
	}
	e := sse.Entry{
		Position: sse.Position{Epoch: l.epoch, Seq: p.seq}, Time: time.Unix(0, int64(p.sum)),
	}
	e.Position.Check = e.Check(l.key)
	return e.Position
}
