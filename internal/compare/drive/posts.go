package drive

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

// Posts is the publisher for a server to which events are published over HTTP. It
// sends one request after the other on one connection, because the server could
// publish the events of concurrent requests in any order.
type Posts struct {
	// FromCall reports that an event contains the time of the call of Publish. The time
	// for which an event waits for the POST of the event before it then counts as
	// latency. If false, the event contains the time just before its own POST. FromCall
	// must be set before the first call of Publish.
	FromCall bool

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

// StartPosts starts the publisher. request returns the request that publishes data on
// a topic. The caller must call stop, which ends the publisher.
func StartPosts(ctx context.Context, header http.Header,
	request func(topic string, data []byte) (url string, body []byte)) (p *Posts, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	p = &Posts{
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

// Publish implements [Publisher].
func (p *Posts) Publish(waves, topics, size int) error {
	select {
	case p.todo <- postTask{waves, topics, size, control.Now()}:
		return p.Failure()
	default:
		return errors.New("too many events wait for publishing")
	}
}

// Failure implements [Publisher].
func (p *Posts) Failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Reset implements [Publisher].
func (p *Posts) Reset() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply = control.ServerReply{}
	return p.err
}

// Report implements [Publisher].
func (p *Posts) Report() (control.ServerReply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reply, p.err
}

func (p *Posts) work(ctx context.Context) {
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

func (p *Posts) post(ctx context.Context, topic int, t postTask) error {
	begin := control.Now()
	event := control.Event{Topic: topic, Wave: p.wave, Sent: begin}
	if p.FromCall {
		event.Sent = t.sent
	}
	data := control.AppendEvent(nil, event, t.size)
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
