// Command client prints the messages of the server. It tries to connect every second.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"
)

func main() {
	for {
		log.Print("TRY_OPEN_CONNECTION")
		err := listen("http://localhost:3000/handshake")
		log.Print(err)
		time.Sleep(time.Second)
	}
}

// listen prints messages until the connection ends, and returns the reason for the end.
func listen(url string) error {
	response, err := http.Get(url)
	if err != nil {
		return err // usually, the server is not running yet
	}
	defer response.Body.Close()
	contentType := response.Header.Get("Content-Type")
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(contentType, "text/event-stream") {
		return fmt.Errorf("not an event stream: %s, %s", response.Status, contentType)
	}
	log.Print("connection established..")
	log.Print("WAITING_MESSAGE")
	reader := bufio.NewReader(response.Body) // a bufio.Scanner would fail at a line of 64 KiB
	var data []string                        // the lines of the message so far
	var eventType string                     // the type of the message; empty if it has none
	for {
		line, err := reader.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return errors.New("the server has ended the connection")
		}
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "data":
			data = append(data, value)
		case field == "event":
			eventType = value
		case line == "": // the message is complete
			if data != nil && (eventType == "" || eventType == "message") {
				fmt.Println(strings.Join(data, `\n`)) // prints all lines of the message as one line
			}
			data, eventType = nil, ""
		}
	}
}
