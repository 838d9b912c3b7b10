"""The servers that are compared, each configured as its operator would for the one scenario at hand.

A peer is a function of a Place. It writes its files there and returns the command that runs the server in
the foreground. All of them: one worker or thread, no access log, kept-alive connections to the origin,
a cache large enough for everything, in memory or on tmpfs, and no limit that the load would run into.
"""

import os
import shutil
from dataclasses import dataclass

IDLE_S = 600  # no server closes an idle connection during a run
MANY = 1_000_000_000
OPEN = 20_000  # client connections that must fit


@dataclass
class Place:
    """Where one server of one scenario lives."""

    dir: str  # its own, empty, on tmpfs
    port: int  # 127.0.0.1
    origin: int  # port of the origin
    hit: bool  # answer from the cache; else pass every request through
    body: int  # bytes of the response
    bare: str  # bench_bare; beside it bench_bare_h2
    weir: str  # the node
    tls: str = ""  # PEM file with certificate and key: clients come by TLS
    h2: bool = False  # and may speak HTTP/2

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return path


def found(*names):
    for name in names:
        path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
        if path:
            return path
    return None


# As good as what weir does by itself, and the same for all.
CIPHERS = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"


def bare(p):
    if p.h2:
        return [p.bare + "_h2", str(p.port), p.tls, str(p.body)]
    if p.hit:
        return [p.bare, "answer", str(p.port), str(p.body), "max-age=3600"]
    return [p.bare, "relay", str(p.port), str(p.origin)]


def weir(p):
    tls = f"tls:\n  certificates:\n    - certificate: {p.tls}\n" if p.tls else ""
    config = p.write("weir.yaml", f"""\
node:
  workers: 1
listen:
  - address: 127.0.0.1:{p.port}
    {"tls: {}" if p.tls else ""}
{tls}client:
  idle_timeout: {IDLE_S}s
  requests_per_connection: {MANY}
  connections: {OPEN}
  connections_per_client: 0
upstreams:
  - name: app
    origins: ["http://127.0.0.1:{p.origin}"]
routes:
  - upstream: app
    cache:
      enabled: {"true" if p.hit else "false"}
log:
  level: warn
  access: "off"
""")
    return [p.weir, "--config", config]


def nginx(p):
    cache = f"proxy_cache_path {p.dir}/cache levels=1:2 keys_zone=c:16m max_size=1g inactive=1d use_temp_path=off;"
    tls = f"""
        ssl_certificate {p.tls};
        ssl_certificate_key {p.tls};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ciphers {CIPHERS};
        ssl_session_tickets on;
        http2_max_concurrent_streams 128;""" if p.tls else ""
    config = p.write("nginx.conf", f"""\
user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {p.dir}/pid;
error_log {p.dir}/error.log error;
events {{ worker_connections {2 * OPEN}; multi_accept on; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout {IDLE_S};
    keepalive_requests {MANY};
    client_body_temp_path {p.dir}/body;
    proxy_temp_path {p.dir}/temp;
    fastcgi_temp_path {p.dir}/fastcgi;
    uwsgi_temp_path {p.dir}/uwsgi;
    scgi_temp_path {p.dir}/scgi;
    open_file_cache max=1000 inactive=1h;
    {cache if p.hit else ""}
    upstream app {{ server 127.0.0.1:{p.origin}; keepalive 256; keepalive_requests {MANY}; }}
    server {{
        listen 127.0.0.1:{p.port} backlog=4096{" ssl" if p.tls else ""}{" http2" if p.h2 else ""};{tls}
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            {"proxy_cache c; proxy_cache_lock on;" if p.hit else "proxy_cache off;"}
        }}
    }}
}}
""")
    return [found("nginx"), "-c", config, "-e", f"{p.dir}/error.log", "-p", p.dir]


def haproxy(p):
    alpn = "h2,http/1.1" if p.h2 else "http/1.1"
    tls = f"ssl crt {p.tls} alpn {alpn} ssl-min-ver TLSv1.2 ciphers {CIPHERS}" if p.tls else ""
    config = p.write("haproxy.cfg", f"""\
global
    nbthread 1
    maxconn {OPEN}
    no strict-limits
defaults
    mode http
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client {IDLE_S}s
    timeout http-keep-alive {IDLE_S}s
    timeout server 60s
cache c
    total-max-size 128
    max-object-size 4000000
    max-age 3600
listen app
    bind 127.0.0.1:{p.port} backlog 4096 {tls}
    {"http-request cache-use c" if p.hit else ""}
    {"http-response cache-store c" if p.hit else ""}
    server origin 127.0.0.1:{p.origin}
""")
    return [found("haproxy"), "-db", "-f", config]


def varnish(p):
    """TLS is hitch's, on the same core: Varnish has none."""
    vcl = p.write("default.vcl", f"""\
vcl 4.1;
backend origin {{ .host = "127.0.0.1"; .port = "{p.origin}"; }}
sub vcl_recv {{ {"" if p.hit else "return (pass);"} }}
""")
    address = f"{p.dir}/varnish.sock,PROXY" if p.tls else f"127.0.0.1:{p.port}"
    command = [found("varnishd"), "-F", "-j", "none", "-n", f"{p.dir}/work", "-a", address,
               "-f", vcl, "-s", "malloc,512m", "-p", "thread_pools=1", "-p", f"timeout_idle={IDLE_S}",
               "-p", "listen_depth=4096", *(["-p", "feature=+http2"] if p.h2 else [])]
    if not p.tls:
        return command
    config = p.write("hitch.conf", f"""\
frontend = "[127.0.0.1]:{p.port}"
backend = "{p.dir}/varnish.sock"
pem-file = "{p.tls}"
workers = 1
backlog = 4096
write-proxy-v2 = on
user = "root"
keepalive = {IDLE_S}
alpn-protos = "{"h2, http/1.1" if p.h2 else "http/1.1"}"
tls-protos = TLSv1.2 TLSv1.3
ciphers = "{CIPHERS}"
""")
    start = p.write("start", f"""\
{" ".join(command)} &
while [ ! -S {p.dir}/varnish.sock ]; do sleep 0.1; done
exec {found("hitch")} --config={config}
""")
    return ["/bin/sh", start]


def h2o(p):
    """H2O 2.2 cannot cache what it proxies: its hits are static files."""
    if p.hit:
        p.write("www/x.txt", ("abcdefghijklmnopqrstuvwxyz" * (p.body // 26 + 1))[:p.body])
        what = f"file.dir: {p.dir}/www"
    else:
        what = f"proxy.reverse.url: http://127.0.0.1:{p.origin}/\n        proxy.timeout.keepalive: 60000"
    tls = f"""
  ssl:
    certificate-file: {p.tls}
    key-file: {p.tls}
    minimum-version: TLSv1.2
    cipher-suite: "{CIPHERS}\"""" if p.tls else ""
    config = p.write("h2o.conf", f"""\
user: root
num-threads: 1
num-name-resolution-threads: 1
max-connections: {OPEN}
http1-request-timeout: {IDLE_S}
http2-idle-timeout: {IDLE_S}
listen:
  host: 127.0.0.1
  port: {p.port}{tls}
hosts:
  default:
    paths:
      /:
        {what}
""")
    return [found("h2o"), "-m", "worker", "-c", config]


def trafficserver(p):
    etc = f"{p.dir}/etc"
    for name in ("cache", "run", "log"):
        os.makedirs(f"{p.dir}/{name}")
    root = p.write("runroot.yaml", f"""\
prefix: /usr
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/bin
sysconfdir: {etc}
datadir: {p.dir}/cache
includedir: /usr/include
libdir: /usr/lib
libexecdir: /usr/lib/trafficserver/modules
localstatedir: {p.dir}/run
runtimedir: {p.dir}/run
logdir: {p.dir}/log
mandir: /usr/share/man
infodir: /usr/share/info
cachedir: {p.dir}/cache
""")
    p.write("etc/records.config", f"""\
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.accept_threads INT 0
CONFIG proxy.config.task_threads INT 1
CONFIG proxy.config.cache.threads_per_disk INT 1
CONFIG proxy.config.http.server_ports STRING {p.port}:ip-in=127.0.0.1
CONFIG proxy.config.net.connections_throttle INT {2 * OPEN}
CONFIG proxy.config.net.max_connections_in INT {2 * OPEN}
CONFIG proxy.config.net.listen_backlog INT 4096
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT {IDLE_S}
CONFIG proxy.config.http.transaction_no_activity_timeout_in INT {IDLE_S}
CONFIG proxy.config.http.cache.http INT {int(p.hit)}
CONFIG proxy.config.cache.ram_cache.size INT 256M
CONFIG proxy.config.cache.ram_cache_cutoff INT 8M
CONFIG proxy.config.cache.min_average_object_size INT 8000
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.diags.debug.enabled INT 0
CONFIG proxy.config.crash_log_helper STRING NULL
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.reverse_proxy.enabled INT 1
""")
    p.write("etc/storage.config", f"{p.dir}/cache 512M\n")
    p.write("etc/remap.config", f"map / http://127.0.0.1:{p.origin}/\n")
    p.write("etc/ip_allow.yaml", "ip_allow:\n  - apply: in\n    ip_addrs: 0/0\n    action: allow\n    methods: ALL\n")
    for name in ("plugin.config", "parent.config", "cache.config", "hosting.config", "volume.config",
                 "ssl_multicert.config", "socks.config", "splitdns.config"):
        p.write(f"etc/{name}", "")
    return [found("traffic_server"), f"--run-root={root}"]


PEERS = {
    "bare": bare,
    "weir": weir,
    "nginx": nginx,
    "haproxy": haproxy,
    "varnish": varnish,
    "h2o": h2o,
    "trafficserver": trafficserver,
}
WITH_TLS = ("weir", "nginx", "haproxy", "varnish", "h2o")
PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "varnish": "varnishd", "h2o": "h2o",
            "trafficserver": "traffic_server"}
