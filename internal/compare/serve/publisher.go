package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/sse-go/sse/internal/compare/control"
)

// shutdownLimit limits the time until all streams of a server have ended.
const shutdownLimit = time.Minute

// publisher executes the commands of the coordinator, in one goroutine.
type publisher struct {
	subject *subject
	topics  []string
	wave    int64 // number of the last published wave
	buf     []byte
	names   []string // topics of the events in one call of publishAll
	data    []string // data of these events

	published     int64
	call, command control.Histogram // see [control.ServerReply]
}

// run executes commands until the end of its input.
func (p *publisher) run(commands io.Reader) error {
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		var waves, topics, size int
		var sent int64
		switch line := lines.Text(); line {
		case "reset":
			p.published = 0
			p.call.Reset()
			p.command.Reset()
			if err := reply(control.ServerReply{Is: control.ServerDone}); err != nil {
				return err
			}
		case "report":
			if err := reply(control.ServerReply{
				Is: control.ServerReported, Goroutines: runtime.NumGoroutine(),
				Published: p.published, Call: p.call, Command: p.command,
			}); err != nil {
				return err
			}
		case "subscribers":
			if err := reply(p.subscribers()); err != nil {
				return err
			}
		case "shutdown":
			if err := reply(p.shutdown()); err != nil {
				return err
			}
		default:
			_, err := fmt.Sscanf(line, "publish %d %d %d %d", &waves, &topics, &size, &sent)
			if err != nil {
				return fmt.Errorf("command %q: %w", line, err)
			}
			if err := p.publish(waves, topics, size, sent); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

// subscribers counts the subscribers. A report does not contain their number, because
// counting allocates memory, which would count as the server's.
func (p *publisher) subscribers() control.ServerReply {
	if p.subject.broker == nil {
		return control.ServerReply{Is: control.ServerFailed, Text: "this server cannot count subscribers"}
	}
	r := control.ServerReply{Is: control.ServerReported}
	for _, s := range p.subject.broker.Subscribers() {
		if r.Subscribers++; s.Wait == "held" {
			r.Held++
		}
	}
	return r
}

// shutdown ends all streams.
func (p *publisher) shutdown() control.ServerReply {
	if p.subject.broker == nil {
		return control.ServerReply{Is: control.ServerFailed, Text: "this server cannot end its streams"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownLimit)
	defer cancel()
	if err := p.subject.broker.Shutdown(ctx); err != nil {
		return control.ServerReply{Is: control.ServerFailed, Text: err.Error()}
	}
	return control.ServerReply{Is: control.ServerDone}
}

// publish publishes waves: each is an event on every one of the first topics. sent is
// the time at which the coordinator sent the command.
func (p *publisher) publish(waves, topics, size int, sent int64) error {
	if topics > len(p.topics) {
		return fmt.Errorf("publish: there must be at most %d topics, not %d", len(p.topics), topics)
	}
	if p.subject.publishAll != nil {
		return p.publishAll(waves, topics, size, sent)
	}
	before := control.Now()
	for range waves {
		p.wave++
		for topic, name := range p.topics[:topics] {
			e := control.Event{Topic: topic, Wave: p.wave, Sent: before}
			p.buf = control.AppendEvent(p.buf[:0], e, size)
			if err := p.subject.publish(name, string(p.buf)); err != nil {
				return fmt.Errorf("publish to %s: %w", name, err)
			}
			after := control.Now()
			p.call.Add(after - before)
			p.command.Add(after - sent)
			p.published++
			before = after // the time to read the clock is a part of the measurement
		}
	}
	return nil
}

// publishAll publishes the same events as publish, but with one call of
// subject.publishAll.
func (p *publisher) publishAll(waves, topics, size int, sent int64) error {
	p.names, p.data = p.names[:0], p.data[:0]
	now := control.Now()
	for range waves {
		p.wave++
		for topic, name := range p.topics[:topics] {
			p.buf = control.AppendEvent(p.buf[:0], control.Event{Topic: topic, Wave: p.wave, Sent: now}, size)
			p.names, p.data = append(p.names, name), append(p.data, string(p.buf))
		}
	}
	p.published += int64(len(p.names))
	if err := p.subject.publishAll(p.names, p.data); err != nil {
		return fmt.Errorf("publish %d events: %w", len(p.names), err)
	}
	after := control.Now()
	p.call.Add(after - now)
	p.command.Add(after - sent)
	return nil
}
