package disklog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sse-go/sse"
)

// The key file has the secret of the positions. Every client receives positions of
// events that it must not read, and could find out their content without the
// secret: see [sse.Entry.Check]. The file is written before the first entry, and
// only its owner may read it.
//
// The store has only a fingerprint of the key, so that the log notices a key file
// that is missing or that belongs to another log.
const keyName = "key"

const keyForm = "sse log, key %032x\n"

// MissingKeyError says that a log has entries, but not the key of their positions.
// [Options.NewEpoch] opens the log all the same.
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

func readSecret(fsys vfs.FS, dir string) (secret, error) {
	f, err := fsys.Open(fsys.PathJoin(dir, keyName))
	if errors.Is(err, fs.ErrNotExist) {
		return secret{lost: "is missing"}, nil
	}
	if err != nil {
		return secret{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return secret{}, err
	}
	var key []byte
	if _, err := fmt.Sscanf(string(text), keyForm, &key); err != nil || len(key) != len(secret{}.key) {
		return secret{lost: "is damaged"}, nil
	}
	return secret{key: [16]byte(key)}, nil
}

// drawSecret draws a key and writes the key file, which replaces another one only
// when it is complete.
func drawSecret(fsys vfs.FS, dir string) (secret, error) {
	var s secret
	_, _ = rand.Read(s.key[:]) // never returns an error
	draft := fsys.PathJoin(dir, keyName+".new")
	f, err := fsys.Create(draft, vfs.WriteCategoryUnspecified)
	if err != nil {
		return s, err
	}
	if vfs.Root(fsys) == vfs.Default {
		err = os.Chmod(draft, 0o600)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, keyForm, s.key[:])
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return s, err
	}
	if err := fsys.Rename(draft, fsys.PathJoin(dir, keyName)); err != nil {
		return s, err
	}
	return s, syncDir(fsys, dir)
}

// fingerprint identifies the key, but does not reveal it.
func (s *secret) fingerprint() uint64 {
	return uint64((&sse.Entry{Time: time.Unix(0, 0)}).Check(s.key))
}

// openKey reads the key of the log, or draws it. It returns the reason why the log
// must begin a new epoch, or an empty string.
func (l *Log) openKey(isNew, newEpoch bool) (reason string, err error) {
	s, err := readSecret(l.space, l.dir)
	if err != nil {
		return "", err
	}
	switch {
	case newEpoch && !isNew:
		s.lost, reason = "is replaced", "it was asked for"
	case isNew:
	case l.state.version == 1:
		reason = "its positions were without a key"
	case s.lost == "" && s.fingerprint() != l.state.keyed:
		s.lost = "is of another log"
		fallthrough
	case s.lost != "":
		if l.state.last.seq > 0 {
			return "", &MissingKeyError{l.space.PathJoin(l.dir, keyName), s.lost}
		}
		reason = "its key was lost"
	}
	if s.lost != "" {
		if s, err = drawSecret(l.space, l.dir); err != nil {
			return "", err
		}
	}
	l.key, l.state.keyed = s.key, s.fingerprint()
	return reason, nil
}
