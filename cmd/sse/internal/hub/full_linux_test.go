package hub_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sse-go/sse/cmd/sse/internal/hub"
	"github.com/sse-go/sse/cmd/sse/internal/hubtest"
)

// fullHub is a hub on a small disk, with the events that it has acknowledged.
type fullHub struct {
	*hubtest.Hub
	t    *testing.T
	disk string

	mu           sync.Mutex // guards the following
	next         int
	acknowledged map[string]string // the data of an event, by its id
}

// bulk is data that cannot be compressed. The data of an event is its topic, its
// number and a part of bulk.
var bulk = func() string {
	rng := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, 128<<10)
	for i := range data {
		data[i] = byte(' ' + rng.IntN(95))
	}
	return string(data)
}()

// TestFullDisk fills the disk of a hub several times. Each time, it then makes space in
// a different way, as an operator could, without a restart of the hub. At the end, it
// restarts the hub.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const size = 24 << 20
	disk := hubtest.SmallDisk(t, size)
	other := filepath.Join(disk, "other")
	if err := os.WriteFile(other, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	config := hub.Config{
		Data: filepath.Join(disk, "events"), Retention: []hub.Retention{{Bytes: 48e6}},
	}
	h := &fullHub{Hub: hubtest.Start(t, config), t: t, disk: disk, acknowledged: map[string]string{}}
	live := h.listen("/**")
	h.fill()
	h.checkRefused()
	h.checkReadiness("503 sse: events cannot be stored; last commit: failed (the disk is full) ")
	h.checkEvents(h.listen("/**?since=earliest"))
	h.checkEvents(live)

	for _, way := range []struct {
		name  string
		apply func()
	}{
		{"a file is removed", func() {
			if err := os.Remove(other); err != nil {
				t.Fatal(err)
			}
		}},
		{"the disk is made larger", func() { hubtest.Resize(t, disk, size+8<<20) }},
		{"a topic is deleted", func() {
			if answer := h.Do("DELETE", "/room/1", ""); answer.StatusCode != http.StatusNoContent {
				t.Fatalf("DELETE: %s %s", answer.Status, answer.Text)
			}
			h.removePrefix("room/1 ")
		}},
	} {
		way.apply()
		h.waitForSpace()
		h.checkReadiness("200 ready; last commit: succeeded ")
		h.fill()
		h.checkRefused()
		h.checkEvents(live)
		if t.Failed() {
			t.Fatalf("after %s", way.name)
		}
	}
	h.Stop()
	hubtest.Resize(t, disk, 2*size)
	h.Hub = hubtest.Start(t, config)
	h.checkEvents(h.listen("/**?since=earliest"))
}

// The test of a disk reports that the disk is full, even if no event is published. It
// leaves no file on the disk, even if the file was not written completely.
func TestWriteTestFile(t *testing.T) {
	disk := hubtest.SmallDisk(t, 1<<20)
	check := func(full bool, want ...string) {
		t.Helper()
		if err := hub.WriteTestFile(disk); errors.Is(err, syscall.ENOSPC) != full || !full && err != nil {
			t.Errorf("the test returned %v", err)
		}
		files, err := filepath.Glob(filepath.Join(disk, "*"))
		for i := range files {
			files[i] = filepath.Base(files[i])
		}
		if err != nil || !slices.Equal(files, want) {
			t.Errorf("the disk has the files %q, want %q; %v", files, want, err)
		}
	}
	check(false)
	other := filepath.Join(disk, "other")
	if err := os.WriteFile(other, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	check(true, "other")
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	check(false)
	if err := hub.WriteTestFile(filepath.Join(disk, "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a directory that was removed, the test returned %v", err)
	}
}

// If the disk has no space for the store of a hub, Run returns an error with a hint.
func TestDiskTooFullToStart(t *testing.T) {
	data := filepath.Join(hubtest.SmallDisk(t, 512<<10), "events")
	h, err := hub.New(hub.Config{Addr: "localhost:0", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	err = h.Run(t.Context())
	var e *hub.Error
	if !errors.As(err, &e) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(e.Hint, "--data DIR") {
		t.Errorf("Run returned %+v", err)
	}
}

// post publishes an event. It returns false if the disk is full.
func (h *fullHub) post() bool {
	h.mu.Lock()
	n := h.next
	h.next++
	h.mu.Unlock()
	topic := fmt.Sprint("room/", n%3)
	data := fmt.Sprintf("%s %d %s", topic, n, bulk[:1+n*7919%len(bulk)])
	answer := h.Do("POST", "/"+topic, data)
	switch answer.StatusCode {
	case http.StatusOK:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.acknowledged[strings.TrimSpace(answer.Text)] = data
		return true
	case http.StatusInsufficientStorage:
	default:
		h.t.Errorf("POST: %s %s", answer.Status, answer.Text)
	}
	return false
}

// fill publishes until the disk is full.
func (h *fullHub) fill() {
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for h.post() && !h.t.Failed() {
			}
		})
	}
	all.Wait()
}

// waitForSpace publishes until the hub has noticed that the disk has space.
func (h *fullHub) waitForSpace() {
	for !h.post() && !h.t.Failed() && h.t.Context().Err() == nil {
	}
}

// checkRefused checks that each way to publish returns the error of a full disk. It
// repeats a request until it fails, because the hub may still find space for a few
// small events.
func (h *fullHub) checkRefused() {
	h.t.Helper()
	for i, publish := range []func(data string) hubtest.Answer{
		func(data string) hubtest.Answer { return h.Do("POST", "/room/1", data) },
		func(data string) hubtest.Answer {
			return h.Do("POST", "/room/1", data, "Accept", "application/json")
		},
		func(data string) hubtest.Answer {
			return h.Do("POST", "/room/1", data, "Idempotency-Key", data)
		},
		func(data string) hubtest.Answer { return h.Do("PUT", "/room/1", data+"\n") },
		func(data string) hubtest.Answer {
			return h.Do("POST", "/-/batch", fmt.Sprintf(`{"topics":["room/1"],"data":%q}`, data)+"\n")
		},
	} {
		for {
			data := fmt.Sprintf("room/1 %d %d", h.next, i)
			h.next++
			answer := publish(data)
			if answer.StatusCode == http.StatusOK {
				words := strings.FieldsFunc(answer.Text, func(r rune) bool {
					return strings.ContainsRune("\" {}:,\n", r)
				})
				h.acknowledged[words[len(words)-1]] = data // the id
				continue
			}
			if answer.StatusCode != http.StatusInsufficientStorage ||
				!strings.Contains(answer.Text, "disk is full") || !strings.Contains(answer.Text, "DELETE") {
				h.t.Errorf("way %d to publish: %s %s", i, answer.Status, answer.Text)
			}
			break
		}
	}
}

// checkReadiness checks the beginning of the response of /-/readyz.
func (h *fullHub) checkReadiness(want string) {
	h.t.Helper()
	answer := h.Do("GET", "/-/readyz", "")
	if got := fmt.Sprint(answer.StatusCode, " ", answer.Text); !strings.HasPrefix(got, want) {
		h.t.Errorf("readiness: %s, want %s", got, want)
	}
}

// removePrefix removes the events whose data has this prefix from h.acknowledged. The
// test calls it after the hub has deleted these events.
func (h *fullHub) removePrefix(prefix string) {
	for id, data := range h.acknowledged {
		if strings.HasPrefix(data, prefix) {
			delete(h.acknowledged, id)
		}
	}
}

// streamReader reads a stream. The hub ends the stream if the reader does not read while
// the test fills the disk. The reader then reconnects with the last id, like a browser.
type streamReader struct {
	*bufio.Reader
	path, last string            // last is the id of the last event
	seen       map[string]string // data by id
}

// listen subscribes to path. The stream is open until the test ends.
func (h *fullHub) listen(path string) *streamReader {
	r := &streamReader{path: path, seen: map[string]string{}}
	h.connect(r)
	return r
}

func (h *fullHub) connect(r *streamReader) {
	var header []string
	if r.last != "" {
		header = []string{"Last-Event-ID", r.last}
	}
	response := open(h.t, h.Hub, r.path, header...)
	h.t.Cleanup(func() { response.Body.Close() })
	r.Reader = bufio.NewReaderSize(response.Body, 1<<17)
}

// checkEvents reads the stream until r has received every acknowledged event. It fails
// if r receives an event twice or an event that was not acknowledged, or if the history
// does not have exactly the acknowledged events.
func (h *fullHub) checkEvents(r *streamReader) {
	h.t.Helper()
	missing := 0
	for id := range h.acknowledged {
		if _, ok := r.seen[id]; !ok {
			missing++
		}
	}
	for received := 0; missing > 0; received++ { // received counts events of the connection
		id, data, err := r.read()
		if err != nil && received > 0 {
			h.connect(r)
			received = -1
			continue
		}
		if err != nil {
			h.t.Fatalf("%d of %d events are missing: %v; %s", missing, len(h.acknowledged), err, h.Logs())
		}
		if _, seen := r.seen[id]; seen {
			h.t.Fatalf("event %s arrived twice", id)
		}
		if want := h.acknowledged[id]; data != want {
			h.t.Fatalf("event %s has the data %.20q, want %.20q", id, data, want)
		}
		r.seen[id] = data
		missing--
	}
	if got := h.history(); !maps.Equal(got, h.acknowledged) {
		h.t.Errorf("the history has %d events, want %d", len(got), len(h.acknowledged))
	}
}

// read returns the next event of the stream that has data.
func (r *streamReader) read() (id, data string, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimSuffix(line, "\n")
		if value, ok := strings.CutPrefix(line, "id: "); ok {
			id = value
		}
		if value, ok := strings.CutPrefix(line, "data: "); ok {
			data = value
		}
		if line == "" && data != "" {
			r.last = id
			return id, data, nil
		}
	}
}

// history returns the data of all stored events, by id. It reads all pages of history.
func (h *fullHub) history() map[string]string {
	all := map[string]string{}
	for path := "/**?follow=0"; ; {
		page := h.Do("GET", path, "", "Accept", "application/json")
		before := len(all)
		for line := range strings.Lines(page.Text) {
			var event struct{ ID, Type, Data string }
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				h.t.Fatal(err)
			}
			if event.Type == "message" {
				all[event.ID] = event.Data
			}
		}
		if len(all) == before {
			return all
		}
		path = hubtest.NextPage(h.t, page.Response)
	}
}
