// Command posted is a server on net/http that accepts POST requests. The program hub
// compares the cost of these requests with the cost of publishing to the hub. The
// first line that posted prints contains its address (see package control). It ends
// at the end of its standard input.
//
//	posted empty         reads the body and stores nothing
//	posted bbolt DIR     stores each body in its own transaction
//	posted file DIR      appends each body to a file and syncs it, one at a time
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"go.etcd.io/bbolt"

	"github.com/sse-go/sse/internal/compare"
	"github.com/sse-go/sse/internal/compare/control"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "posted:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	handler, version := http.HandlerFunc(empty), "net/http, a handler that reads the body"
	switch {
	case len(args) == 1 && args[0] == "empty":
	case len(args) == 2 && args[0] == "bbolt":
		db, err := open(args[1])
		if err != nil {
			return err
		}
		defer db.Close()
		handler, version = store(db), compare.Version("go.etcd.io/bbolt")+", a transaction for each event"
	case len(args) == 2 && args[0] == "file":
		file, err := os.Create(filepath.Join(args[1], "events"))
		if err != nil {
			return err
		}
		defer file.Close()
		handler, version = appendTo(file), "a write and a sync for each event"
	default:
		return errors.New("usage: posted empty | posted bbolt DIR | posted file DIR")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- http.Serve(listener, handler) }() // ends with the process
	line, err := json.Marshal(control.ServerReply{
		Is: control.ServerListening, Addr: listener.Addr().String(), Version: version,
	})
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		return err
	}
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	return <-failed
}

// empty reads the body and responds. Every handler of a POST must do at least this.
func empty(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, "ok\n")
}

var bucket = []byte("events")

// open opens a database with the options that make writes cheapest.
func open(dir string) (*bbolt.DB, error) {
	db, err := bbolt.Open(filepath.Join(dir, "events.db"), 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: true,
	})
	if err != nil {
		return nil, err
	}
	return db, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

// store stores the body, and responds with the number of the event after the event is
// on the disk.
func store(db *bbolt.DB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var seq uint64
		err = db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucket)
			b.FillPercent = 0.95 // because events are appended
			var err error
			if seq, err = b.NextSequence(); err != nil {
				return err
			}
			return b.Put(binary.BigEndian.AppendUint64(nil, seq), body)
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, strconv.FormatUint(seq, 10)+"\n")
	}
}

// appendTo appends each body to a file and syncs the file. With one publisher, it
// shows the speed of the disk.
func appendTo(file *os.File) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(file, r.Body)
		if err == nil {
			err = file.Sync()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "ok\n")
	}
}
