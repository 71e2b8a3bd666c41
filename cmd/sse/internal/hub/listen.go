package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/sse-go/sse/cmd/sse/internal/api"
)

// listen listens on an address: on localhost, on both of its addresses, as some
// programs take the one and some the other.
func listen(ctx context.Context, addr string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if host != "localhost" {
		l, err := listenOne(ctx, "tcp", addr)
		if err != nil {
			return nil, explainListen(err, addr, port)
		}
		return []net.Listener{l}, nil
	}
	// Port 0 is any that is free on the one address; it may not be on the other.
	const attempts = 10
	for attempt := 1; ; attempt++ {
		all, err := listenBoth(ctx, port)
		if err == nil {
			return all, nil
		}
		if port != "0" || attempt == attempts || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, explainListen(err, addr, port)
		}
	}
}

func listenBoth(ctx context.Context, port string) ([]net.Listener, error) {
	four, err := listenOne(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
	if err == nil {
		port = strconv.Itoa(four.Addr().(*net.TCPAddr).Port)
	} else if !isMissing(err) {
		return nil, err
	}
	six, err6 := listenOne(ctx, "tcp6", net.JoinHostPort("::1", port))
	switch {
	case err6 == nil && four == nil:
		return []net.Listener{six}, nil
	case err6 == nil:
		return []net.Listener{four, six}, nil
	case four == nil:
		return nil, err
	case isMissing(err6):
		return []net.Listener{four}, nil
	}
	_ = four.Close()
	return nil, err6
}

// listenOne listens for TCP alone: what finds peers that vanish does not work with
// Multipath TCP, see [sse.ConnContext].
func listenOne(ctx context.Context, network, addr string) (net.Listener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	return config.Listen(ctx, network, addr)
}

// isMissing reports whether this machine has no such address.
func isMissing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// explainListen says what is in the way.
func explainListen(err error, addr, port string) error {
	var dns *net.DNSError
	e := &Error{Text: fmt.Sprintf("cannot listen on %s: %v", addr, bareListen(err)), Err: err}
	switch {
	case errors.Is(err, syscall.EADDRINUSE) || isInUseOnWindows(err):
		e.Text = fmt.Sprintf("port %s is taken by %s", port, portOwner(port))
		e.Hint = "another port: --addr localhost:8080, or localhost:0 for any that is free"
	case errors.Is(err, syscall.EACCES):
		e.Hint = "ports below 1024 need a privilege; another one does not: --addr localhost:8080"
	case errors.As(err, &dns):
		e.Text = fmt.Sprintf("cannot listen on %s: this machine knows no such name", addr)
		e.Hint = "an address of this machine, such as localhost:" + port + ", or :" + port + " for all"
	case isMissing(err):
		e.Hint = "this machine has no such address; :" + port + " is all that it has"
	}
	return e
}

// bareListen is the error without the address.
func bareListen(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err
	}
	if call := (*os.SyscallError)(nil); errors.As(err, &call) {
		err = call.Err
	}
	return err
}

func isInUseOnWindows(err error) bool { return errors.Is(err, syscall.Errno(10048)) }

// portOwner says who listens on a port of this machine, as far as can be found out.
func portOwner(port string) string {
	if name := processOn(port); name != "" {
		return name
	}
	if isHub(port) {
		return "another hub"
	}
	return "another program"
}

// isHub reports whether a hub answers on a port.
func isHub(port string) bool {
	client := &http.Client{Timeout: 500 * time.Millisecond}
	resp, err := client.Get("http://" + net.JoinHostPort("localhost", port) + "/-/healthz")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && resp.Header.Get("Server") == api.ServerName
}
