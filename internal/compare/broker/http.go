package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/sse-go/sse/internal/compare/control"
)

// posts is the publisher for a server to which events are published over HTTP. It
// sends one request after the other on one connection, because the server could
// publish the events of concurrent requests in any order.
type posts struct {
	// request returns the request that publishes data on a topic.
	request func(topic string, data []byte) (url string, body []byte)
	header  http.Header
	client  http.Client
	todo    chan postTask
	done    chan struct{} // closed when the goroutine has ended
	wave    int64         // number of the current wave; only work and post use it

	mu    sync.Mutex // guards the following
	err   error      // the first error
	reply control.ServerReply
}

// postTask is a call of Publish. sent is the time of the call.
type postTask struct {
	waves, topics, size int
	sent                int64
}

// startPosts starts the publisher. The caller must call stop, which ends it.
func startPosts(ctx context.Context, header http.Header,
	request func(topic string, data []byte) (url string, body []byte)) (p *posts, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	p = &posts{
		request: request, header: header, todo: make(chan postTask, 1<<16),
		done: make(chan struct{}),
	}
	p.client.Transport = &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}
	go p.work(ctx)
	return p, func() {
		cancel()
		<-p.done
		p.client.CloseIdleConnections()
	}
}

func (p *posts) Publish(waves, topics, size int) error {
	select {
	case p.todo <- postTask{waves, topics, size, control.Now()}:
		return p.Failure()
	default:
		return errors.New("too many events wait for publishing")
	}
}

func (p *posts) Failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *posts) Reset() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply = control.ServerReply{}
	return p.err
}

func (p *posts) Report() (control.ServerReply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reply, p.err
}

func (p *posts) work(ctx context.Context) {
	defer close(p.done)
	for {
		var t postTask
		select {
		case t = <-p.todo:
		case <-ctx.Done():
			return
		}
		for range t.waves {
			p.wave++
			for topic := range t.topics {
				if err := p.post(ctx, topic, t); err != nil {
					p.mu.Lock()
					p.err = err
					p.mu.Unlock()
					return
				}
			}
		}
	}
}

func (p *posts) post(ctx context.Context, topic int, t postTask) error {
	begin := control.Now()
	data := control.AppendEvent(nil, control.Event{Topic: topic, Wave: p.wave, Sent: begin}, t.size)
	url, body := p.request(control.Topic(topic), data)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = p.header
	response, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode/100 != 2 || bytes.Contains(text, []byte(`"error"`)) {
		return fmt.Errorf("publish: %s: %s %w", response.Status, text, err)
	}
	end := control.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply.Published++
	p.reply.Call.Add(end - begin)
	p.reply.Command.Add(end - t.sent)
	return nil
}
