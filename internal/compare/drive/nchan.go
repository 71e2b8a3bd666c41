package drive

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nchanModule is the path of the module in Debian's libnginx-mod-nchan.
const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

// nchanConfig has one worker process, because every server of the comparison has one
// process. https://nchan.io, "Configuration Directives", describes the settings:
//
//   - nchan_message_buffer_length: "the maximum number of messages to store per
//     channel". The default of 10 is less than the number of events that are
//     published before the subscribers have received them.
//   - nchan_message_timeout: a minute instead of an hour.
//   - nchan_shared_memory_size: "shared memory slab pool size". It is the
//     default, 128M, and listed because it limits the number of subscribers.
//
// The access log is off and connections stay open, as for every server of the
// comparison. worker_rlimit_nofile and worker_connections suffice for the
// subscribers.
const nchanConfig = `
load_module %[1]s;
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid %[2]s/nginx.pid;
error_log %[2]s/error.log error;
events { worker_connections 19900; use epoll; multi_accept on; }
http {
	access_log off;
	tcp_nodelay on;
	keepalive_timeout 300;
	keepalive_requests 1000000000;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	nchan_shared_memory_size 128M;
	server {
		listen %[3]s backlog=4096;
		location = /publish {
			nchan_publisher http;
			nchan_channel_id $arg_topic;
			nchan_message_buffer_length 256;
			nchan_message_timeout 1m;
		}
		location = /subscribe {
			nchan_subscriber eventsource;
			nchan_channel_id $arg_topic;
			nchan_subscriber_first_message newest;
		}
	}
}
`

// Nchan is nginx with the module Nchan. Publishers send POST requests to
// /publish?topic={topic}; subscribers read /subscribe?topic={topic}.
type Nchan struct {
	*Daemon
	Addr    string
	Worker  int // id of the worker process, which serves the subscribers
	Version string
}

// StartNchan starts Nchan with a new directory in dir.
func StartNchan(ctx context.Context, dir string) (*Nchan, error) {
	nginx, err := exec.LookPath("nginx")
	if err == nil {
		_, err = os.Stat(nchanModule)
	}
	if err != nil {
		return nil, fmt.Errorf("%w (apt-get install nginx libnginx-mod-nchan, "+
			"or exclude nchan with -servers)", err)
	}
	dir, err = os.MkdirTemp(dir, "nchan")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(nchanConfig, nchanModule, dir, addr)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	d, err := StartDaemon(ctx, "nchan", nginx, "-e", filepath.Join(dir, "error.log"),
		"-p", dir, "-c", config)
	if err != nil {
		return nil, err
	}
	n := &Nchan{Daemon: d, Addr: addr, Version: nchanVersion()}
	if err = d.AwaitListening(addr); err == nil {
		n.Worker, err = d.OnlyChild()
	}
	if err != nil {
		d.Stop()
		return nil, err
	}
	return n, nil
}

// nchanVersion returns the versions of the Debian packages and the settings, for a
// table.
func nchanVersion() string {
	text, err := exec.Command("dpkg-query", "-W", "-f", "${Version}, ", "libnginx-mod-nchan",
		"nginx").Output()
	if err != nil {
		return "unknown"
	}
	nchan, nginx, _ := strings.Cut(strings.TrimSuffix(string(text), ", "), ", ")
	return fmt.Sprintf("%s, nginx %s, one worker, buffer of 256", nchan, nginx)
}
