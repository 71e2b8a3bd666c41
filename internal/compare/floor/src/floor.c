// A minimal server: it accepts connections, sends a header, and then only calls
// write(2) with the same bytes for each socket. It has no topics, ids or heartbeats
// and does not handle slow clients: a full socket is an error.
//
//	floor COALESCE
//
// It listens on a port of 127.0.0.1 and prints its address. It reads the commands of
// package control from its standard input. It writes when COALESCE events are
// outstanding, all of them in one write.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SOCKETS = 1 << 16, MAX_SIZE = 4096, MAX_EVENTS = 1024 };

static int sockets[MAX_SOCKETS], count;
static char out[MAX_EVENTS * (MAX_SIZE + 64)]; // content of the next writes
static size_t out_size;
static int outstanding, coalesce = 1;
static long long wave;

static void fail(const char *format, ...) {
	va_list args;
	va_start(args, format);
	fprintf(stderr, "floor: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(1);
}

static void reply(const char *line) {
	if (write(1, line, strlen(line)) < 0)
		exit(0); // the coordinator has ended
}

static int listening(int *port) {
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t size = sizeof addr;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 ||
		listen(fd, 4096) < 0 || getsockname(fd, (struct sockaddr *)&addr, &size) < 0)
		fail("listen on 127.0.0.1");
	*port = ntohs(addr.sin_port);
	return fd;
}

// A load client sends its request at once after connecting, so it is acceptable to
// block until the request arrives.
static void admit(int listener) {
	static const char header[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
								 "Transfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n";
	char request[4096];
	size_t size = 0;
	int one = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct timeval limit = {.tv_sec = 5};
	if (fd < 0)
		fail("accept number %d (raise the limit of open files: ulimit -n)", count);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	do {
		ssize_t n = read(fd, request + size, sizeof request - 1 - size);
		if (n <= 0) {
			close(fd); // the client has disconnected, or does not use HTTP
			return;
		}
		size += n;
		request[size] = 0;
	} while (!strstr(request, "\r\n\r\n") && size < sizeof request - 1);
	if (count == MAX_SOCKETS || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
		write(fd, header, sizeof header - 1) < 0)
		fail("respond to number %d", count);
	sockets[count++] = fd;
}

// The data is the same as from control.AppendEvent for topic 0.
static void append_event(int size) {
	char data[MAX_SIZE + 1];
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	int n = snprintf(data, sizeof data, "@0 %lld %lld ", ++wave,
		now.tv_sec * 1000000000LL + now.tv_nsec);
	if (n < size) {
		memset(data + n, 'x', size - n);
		n = size;
	}
	out_size += sprintf(out + out_size, "%x\r\ndata: %.*s\n\n\r\n", n + 8, n, data);
}

static void write_all(void) {
	for (int i = 0; i < count; i++) {
		if (sockets[i] < 0)
			continue;
		ssize_t n = write(sockets[i], out, out_size);
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
			close(sockets[i]);
			sockets[i] = -1;
		} else if (n != (ssize_t)out_size) {
			fail("wrote only %zd of %zu bytes to a socket; reduce the outstanding events", n, out_size);
		}
	}
	out_size = 0;
	outstanding = 0;
}

static void execute(const char *line) {
	int waves, topics, size;
	if (sscanf(line, "publish %d %d %d", &waves, &topics, &size) == 3) {
		if (topics != 1 || size > MAX_SIZE || coalesce > MAX_EVENTS)
			fail("%s: there must be one topic, and events of at most %d bytes", line, MAX_SIZE);
		while (waves-- > 0) {
			append_event(size);
			if (++outstanding >= coalesce)
				write_all();
		}
	} else if (!strcmp(line, "reset")) {
		reply("{\"is\":\"done\"}\n");
	} else if (!strcmp(line, "report")) {
		reply("{\"is\":\"reported\"}\n");
	} else {
		fail("unknown command %s", line);
	}
}

// Reads once and executes all complete lines.
static void read_commands(void) {
	static char input[1 << 16];
	static size_t size;
	ssize_t n = read(0, input + size, sizeof input - 1 - size);
	if (n <= 0)
		exit(0);
	size += n;
	input[size] = 0;
	char *line = input, *end;
	while ((end = strchr(line, '\n'))) {
		*end = 0;
		execute(line);
		line = end + 1;
	}
	size -= line - input;
	memmove(input, line, size);
}

int main(int argc, char **argv) {
	char line[200];
	int port, listener = listening(&port);
	signal(SIGPIPE, SIG_IGN); // write returns an error for a disconnected client
	if (argc > 1)
		coalesce = atoi(argv[1]);
	snprintf(line, sizeof line,
		"{\"is\":\"listening\",\"addr\":\"127.0.0.1:%d\",\"path\":\"/\",\"body\":true}\n", port);
	reply(line);
	struct pollfd polled[] = {{.fd = 0, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
	for (;;) {
		if (poll(polled, 2, -1) < 0 && errno != EINTR)
			fail("poll");
		if (polled[0].revents)
			read_commands();
		if (polled[1].revents)
			admit(listener);
	}
}
