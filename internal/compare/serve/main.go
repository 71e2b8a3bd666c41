// Command serve is one server of the comparison, driven by lines on its standard
// input (see package control). It ends when its input does.
//
//	serve list           the servers that there are
//	serve NAME TOPICS [ADDR]
//	                     one of them, with so many topics, on a port of 127.0.0.1
//	                     that its first line tells; on ADDR, which it shares with
//	                     others that are given the same
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"

	"github.com/sse-go/sse"
	"github.com/sse-go/sse/internal/compare/control"
)

// subject is a server under test.
type subject struct {
	handler http.Handler
	// publish hands one event to all subscribers of the topic. It loses nothing;
	// if it waits, that is what it costs. data is its own to keep.
	publish func(topic, data string) error
	// publishAll does so with many at once, the n-th data for the n-th topic; nil: it
	// is told one by one.
	publishAll func(topics, data []string) error
	path       string // of subscribers; {topic} stands for the topic
	pattern    string // of pattern subscribers; empty: it has no patterns
	body       bool   // something follows the header at once
	version    string
	// configure changes the server that the handler runs in; nil: nothing to do.
	configure func(*http.Server)
	// broker is ours; nil: the server is not.
	broker *sse.Broker
}

// subjects are all servers but ours. Each is made for the topics with the given
// names.
var subjects = map[string]func(topics []string) (*subject, error){
	"plain":   newPlain,
	"tmaxmax": newTmaxmax,
	"r3labs":  newR3labs,
}

func main() {
	maps.Copy(subjects, ours)
	if len(os.Args) == 2 && os.Args[1] == "list" {
		for _, name := range slices.Sorted(maps.Keys(subjects)) {
			fmt.Println(name)
		}
		return
	}
	if len(os.Args) != 3 && len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: serve list, or serve NAME TOPICS [ADDR]")
		os.Exit(2)
	}
	listen := func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	if len(os.Args) == 4 {
		listen = func() (net.Listener, error) { return listenShared(os.Args[3]) }
	}
	topics, err := strconv.Atoi(os.Args[2])
	if err == nil {
		err = run(os.Args[1], topics, listen)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func run(name string, topics int, listen func() (net.Listener, error)) error {
	create := subjects[name]
	if create == nil {
		return fmt.Errorf("no server %q; see serve list", name)
	}
	names := make([]string, topics)
	for i := range names {
		names[i] = control.Topic(i)
	}
	s, err := create(names)
	if err != nil {
		return err
	}
	listener, err := listen()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.handler}
	if s.configure != nil {
		s.configure(server)
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }() // ends with the process
	p := &publisher{subject: s, topics: names}
	if err := say(control.ServerReply{
		Is: control.ServerListening, Addr: listener.Addr().String(),
		Path: s.path, Pattern: s.pattern, Body: s.body, Version: s.version,
	}); err != nil {
		return err
	}
	go func() { failed <- p.obey(os.Stdin) }()
	return <-failed
}

func say(r control.ServerReply) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}
