package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/bbolt"
)

// kv is the interface of a storage library for the log.
type kv interface {
	// Write sets pairs of a key and a value, and removes keys. It writes all changes
	// or none. If sync is true, the changes are on the disk when Write returns.
	Write(set [][2][]byte, remove [][]byte, sync bool) error

	// Read calls f with a cursor over a consistent view of the store.
	Read(f func(cursor) error) error

	// Drop removes all keys that are less than before and have the same first byte,
	// the kind of the key. It frees their space.
	Drop(before []byte) error

	Close() error
}

// cursor iterates over keys in order. Seek moves to the first key that is not less
// than key, and Next to the next key. Their results are valid until the next call
// of Seek or Next. If there is no further key, k is nil.
type cursor interface {
	Seek(key []byte) (k, v []byte)
	Next() (k, v []byte)
}

// pebbleKV is Pebble with the options of disklog, the storage package of the hub.
type pebbleKV struct{ db *pebble.DB }

func openPebble(dir string) (kv, error) {
	db, err := pebble.Open(dir, &pebble.Options{
		FormatMajorVersion: pebble.FormatTableFormatV6,
		MemTableSize:       8 << 20, CacheSize: 16 << 20, MaxOpenFiles: 256,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
		Logger:                     silentLogger{},
	})
	return &pebbleKV{db}, err
}

// silentLogger discards the messages of Pebble.
type silentLogger struct{}

func (silentLogger) Infof(string, ...any)  {}
func (silentLogger) Errorf(string, ...any) {}
func (silentLogger) Fatalf(format string, args ...any) {
	panic(format)
}

func (p *pebbleKV) Write(set [][2][]byte, remove [][]byte, sync bool) error {
	batch := p.db.NewBatch()
	defer batch.Close()
	for _, pair := range set {
		if err := batch.Set(pair[0], pair[1], nil); err != nil {
			return err
		}
	}
	for _, key := range remove {
		if err := batch.Delete(key, nil); err != nil {
			return err
		}
	}
	return batch.Commit(&pebble.WriteOptions{Sync: sync})
}

func (p *pebbleKV) Drop(before []byte) error {
	span := pebble.KeyRange{Start: before[:1], End: before}
	return errors.Join(p.db.LogData(nil, pebble.Sync), p.db.Excise(ctx, span))
}

func (p *pebbleKV) Read(f func(cursor) error) error {
	iter, err := p.db.NewIter(nil)
	if err != nil {
		return err
	}
	return errors.Join(f(pebbleCursor{iter}), iter.Close())
}

func (p *pebbleKV) Close() error { return p.db.Close() }

type pebbleCursor struct{ iter *pebble.Iterator }

func (c pebbleCursor) Seek(key []byte) (k, v []byte) { return c.at(c.iter.SeekGE(key)) }
func (c pebbleCursor) Next() (k, v []byte)           { return c.at(c.iter.Next()) }

func (c pebbleCursor) at(valid bool) (k, v []byte) {
	if !valid {
		return nil, nil
	}
	return c.iter.Key(), c.iter.Value()
}

// boltKV is bbolt with the options that make writes cheapest.
type boltKV struct{ db *bbolt.DB }

func openBolt(dir string) (kv, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(filepath.Join(dir, "log.db"), 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: true,
	})
	if err != nil {
		return nil, err
	}
	return &boltKV{db}, db.Update(func(tx *bbolt.Tx) error {
		// There is a bucket for each kind of key.
		for _, kind := range kinds {
			if _, err := tx.CreateBucketIfNotExists([]byte{kind}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *boltKV) Write(set [][2][]byte, remove [][]byte, _ bool) error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		// The keys of entries are appended in ascending order, so bbolt can fill
		// their pages.
		tx.Bucket([]byte{entryKind}).FillPercent = 0.95
		for _, pair := range set {
			if err := tx.Bucket(pair[0][:1]).Put(pair[0], pair[1]); err != nil {
				return err
			}
		}
		for _, key := range remove {
			if err := tx.Bucket(key[:1]).Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
}

// Drop implements kv. It removes one key after the other, because bbolt cannot remove
// a range. bbolt reuses the freed space, but the file does not shrink.
func (b *boltKV) Drop(before []byte) error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(before[:1]).Cursor()
		for k, _ := cursor.First(); k != nil && bytes.Compare(k, before) < 0; k, _ = cursor.Next() {
			if err := cursor.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *boltKV) Read(f func(cursor) error) error {
	return b.db.View(func(tx *bbolt.Tx) error { return f(&boltCursor{tx: tx}) })
}

func (b *boltKV) Close() error { return b.db.Close() }

// boltCursor implements cursor. Next iterates only over the bucket of the last Seek:
// over keys of one kind.
type boltCursor struct {
	tx      *bbolt.Tx
	kind    byte
	current *bbolt.Cursor
}

func (c *boltCursor) Seek(key []byte) (k, v []byte) {
	if c.current == nil || c.kind != key[0] {
		c.kind, c.current = key[0], c.tx.Bucket(key[:1]).Cursor()
	}
	return c.current.Seek(key)
}

func (c *boltCursor) Next() (k, v []byte) { return c.current.Next() }
