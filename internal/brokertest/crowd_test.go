package brokertest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// talkTo runs one reader of a crowd. The server sends n events and then ends the
// stream.
func talkTo(t *testing.T, c *Crowd, n int) error {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	served := make(chan error, 1)
	go func() {
		defer far.Close()
		_, err := http.ReadRequest(bufio.NewReader(far))
		if err == nil {
			_, err = io.WriteString(far, "HTTP/1.1 200 OK\r\n\r\n")
		}
		for i := 0; i < n && err == nil; i++ {
			_, err = fmt.Fprintf(far, "data: %s\n\n", Numbered(i, 1))
		}
		served <- err
	}()
	err := c.talk(near, true, func() {}, c.newProgress())
	near.Close()
	if e := <-served; e != nil && !errors.Is(e, io.ErrClosedPipe) {
		t.Fatal(e)
	}
	return err
}

func TestCrowdReader(t *testing.T) {
	for _, test := range []struct {
		name  string
		crowd Crowd
		sent  int
		want  string
	}{
		{"the stream ends", Crowd{Readers: 2, Events: 6, Step: 3}, 6, "after 6 events: EOF"},
		{"the last step is incomplete", Crowd{Readers: 2, Events: 5, Step: 3}, 5, "after 5 events: EOF"},
		{"Step is zero", Crowd{Readers: 2, Events: 2}, 2, "after 2 events: EOF"},
		{"too many events", Crowd{Readers: 2, Events: 5, Step: 3}, 9, "more than 5 events"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := talkTo(t, &test.crowd, test.sent)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}

func TestCrowdProgress(t *testing.T) {
	for _, test := range []struct {
		step int
		want string // the numbers of events that are reported
	}{
		{0, "[1 2 3 4 5 6 7]"},
		{1, "[1 2 3 4 5 6 7]"},
		{3, "[3 6]"},
		{7, "[7]"},
		{8, "[]"},
	} {
		c := &Crowd{Readers: 2, Events: 7, Step: test.step}
		p := c.newProgress()
		got := []int{}
		for reader := range c.Readers {
			for n := 1; n <= c.Events; n++ {
				if !p.add(n) {
					continue
				}
				if reader == 0 {
					t.Errorf("step %d: %d events are reported after the first reader", test.step, n)
				}
				got = append(got, n)
			}
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("step %d: %v are reported, want %s", test.step, got, test.want)
		}
	}
}
