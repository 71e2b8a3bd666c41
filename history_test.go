package sse_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/reflog"
)

// inLogs runs a test with a broker that has no log, and with one that has.
func inLogs(t *testing.T, test func(t *testing.T, b *sse.Broker)) {
	for _, name := range []string{"memory", "log"} {
		t.Run(name, func(t *testing.T) {
			b := &sse.Broker{}
			if name == "log" {
				b.Log = reflog.New(nil)
			}
			t.Cleanup(func() { _ = b.Shutdown(t.Context()) })
			test(t, b)
		})
	}
}

func entryOf(data string, topics ...string) sse.Entry {
	return sse.Entry{Topics: topics, Event: sse.Event{Data: data}}
}

func pageData(page sse.Page) []string {
	data := []string{}
	for _, e := range page.Entries {
		data = append(data, e.Event.Data)
	}
	return data
}

func TestPublishAll(t *testing.T) {
	inLogs(t, func(t *testing.T, b *sse.Broker) {
		at, err := b.PublishAll(t.Context(), entryOf("1", "a"), entryOf("2\r\nx", "b"), entryOf("3", "a", "b"))
		if err != nil || len(at) != 3 {
			t.Fatalf("PublishAll: %v, %v", at, err)
		}
		page, err := b.Read(t.Context(), sse.Selection{Topics: []string{"b"}}, sse.Start{Earliest: true}, 1<<20)
		if got, want := pageData(page), []string{"2\nx", "3"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("Read: %q, %v, want %q", got, err, want)
		}
		if page.Entries[1].Position != at[2] {
			t.Errorf("position %v, want %v", page.Entries[1].Position, at[2])
		}
		var field *sse.FieldError
		if at, err := b.PublishAll(t.Context(), entryOf("4", "a"), entryOf("5", "\n")); !errors.As(err, &field) || at != nil {
			t.Errorf("with a topic that is none: %v, %v", at, err)
		}
		if page, _ := b.Read(t.Context(), sse.Selection{Topics: []string{"a"}}, sse.Start{After: at[2]}, 1); len(page.Entries) != 0 {
			t.Errorf("of a refused PublishAll, %q was published", pageData(page))
		}
	})
}

func TestReadPages(t *testing.T) {
	inLogs(t, func(t *testing.T, b *sse.Broker) {
		var want, got []string
		for i := range 100 {
			data := fmt.Sprint("event ", i)
			want = append(want, data)
			if _, err := b.Publish(t.Context(), sse.Event{Data: data}, "a"); err != nil {
				t.Fatal(err)
			}
		}
		start, pages := sse.Start{Earliest: true}, 0
		for {
			page, err := b.Read(t.Context(), sse.Selection{Topics: []string{"a"}}, start, 500)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Entries) == 0 {
				break
			}
			got, pages = append(got, pageData(page)...), pages+1
			start = sse.Start{After: page.Next}
		}
		if !slices.Equal(got, want) || pages < 2 {
			t.Errorf("in %d pages %q, want %q", pages, got, want)
		}
		page, err := b.Read(t.Context(), sse.Selection{Topics: []string{"a"}}, sse.Start{ID: "none"}, 1)
		var gap *sse.Gap
		if !errors.As(err, &gap) || gap.Why != "unknown" || len(page.Entries) == 0 || page.Entries[0].Event.Data != want[0] {
			t.Errorf("from an id that is none: %q, %v", pageData(page), err)
		}
	})
}

func TestForget(t *testing.T) {
	b := &sse.Broker{}
	at, err := b.PublishAll(t.Context(), entryOf("1", "a"), entryOf("2", "b"), entryOf("3", "a", "b"), entryOf("4", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Forget(t.Context(), "a", at[2]); err != nil {
		t.Fatal(err)
	}
	page, err := b.Read(t.Context(), sse.Selection{Topics: []string{"a", "b"}}, sse.Start{Earliest: true}, 1<<20)
	if got, want := pageData(page), []string{"2", "4"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Read: %q, %v, want %q", got, err, want)
	}
	page, _ = b.Read(t.Context(), sse.Selection{Topics: []string{"b"}}, sse.Start{After: at[1]}, 1<<20)
	if page.Lost != at[2] {
		t.Errorf("of b, %v is lost, want %v", page.Lost, at[2])
	}
}

// With a log the broker knows what is gone from its memory for good.
func TestForgetWithLog(t *testing.T) {
	b := &sse.Broker{Log: reflog.New(nil)}
	defer func() { _ = b.Shutdown(t.Context()) }()
	at, err := b.PublishAll(t.Context(), entryOf("1", "a"), entryOf("2", "a"), entryOf("3", "b"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Forget(t.Context(), "a", at[2]); err != nil {
		t.Fatal(err)
	}
	for event, err := range b.Subscribe(t.Context(), sse.Selection{Topics: []string{"a", "b"}}, sse.Start{After: at[0]}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Type == "sse.gap" {
			return
		}
		t.Logf("%+v", event)
		if event.Data == "3" {
			t.Fatal("no gap before the event after it")
		}
	}
}
