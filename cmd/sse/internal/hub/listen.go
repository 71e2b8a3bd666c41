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

// listen listens on an address. For localhost it listens on both loopback addresses,
// if this machine has both, because some programs connect to 127.0.0.1 and some to
// ::1.
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
	// For port 0, the system chooses a port that is free on the first address. If
	// this port is in use on the second address, try again with another port.
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

// listenOne listens without Multipath TCP, because [sse.ConnContext] cannot
// detect vanished peers over Multipath TCP.
func listenOne(ctx context.Context, network, addr string) (net.Listener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	return config.Listen(ctx, network, addr)
}

// isMissing reports whether an error means that this machine does not have the
// address.
func isMissing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// explainListen returns an *Error that explains why the hub cannot listen on addr. Err
// is the reason, and port is the port of addr.
func explainListen(err error, addr, port string) error {
	var dns *net.DNSError
	e := &Error{Text: fmt.Sprintf("cannot listen on %s: %v", addr, innermost(err)), Err: err}
	switch {
	case errors.Is(err, syscall.EADDRINUSE) || isInUseOnWindows(err):
		e.Text = fmt.Sprintf("port %s is in use by %s", port, portOwner(port))
		e.Hint = "choose another port, for example --addr localhost:8080, " +
			"or localhost:0 for any free port"
	case errors.Is(err, syscall.EACCES):
		e.Hint = "a port below 1024 needs a privilege; " +
			"choose a higher port, for example --addr localhost:8080"
	case errors.As(err, &dns):
		e.Text = fmt.Sprintf("cannot listen on %s: the host name cannot be resolved", addr)
		e.Hint = fmt.Sprintf("use an address of this machine, for example localhost:%s, "+
			"or :%s for all of its addresses", port, port)
	case isMissing(err):
		e.Hint = "use an address of this machine, or :" + port + " for all of its addresses"
	}
	return e
}

// innermost returns the error that the system returned. It removes the address and the
// name of the system call, which err also contains.
func innermost(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err
	}
	if call := (*os.SyscallError)(nil); errors.As(err, &call) {
		err = call.Err
	}
	return err
}

func isInUseOnWindows(err error) bool { return errors.Is(err, syscall.Errno(10048)) }

// portOwner describes the program that listens on a port of this machine: by the name
// of its process, or as another hub, or else as another program.
func portOwner(port string) string {
	if name := processOn(port); name != "" {
		return name
	}
	if isHub(port) {
		return "another hub"
	}
	return "another program"
}

// isHub reports whether a hub serves on a port of this machine.
func isHub(port string) bool {
	client := &http.Client{Timeout: 500 * time.Millisecond}
	resp, err := client.Get("http://" + net.JoinHostPort("localhost", port) + "/-/healthz")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && resp.Header.Get("Server") == api.ServerName
}
