#include "config_schema.h"

#include <string.h>

#include "weir/gcra.h"
#include "config_rules.h"
#include "config_rules_connection.h"
#include "http_status.h"
#include "settings.h"

#define KiB    ((uint64_t)1 << 10)
#define MiB    ((uint64_t)1 << 20)
#define GiB    ((uint64_t)1 << 30)
#define TiB    ((uint64_t)1 << 40)
#define SECOND ((uint64_t)1000)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)
#define DAY_S  ((uint64_t)86400)

#define COUNT_OF(array)       (sizeof(array) / sizeof((array)[0]))
#define SIZE_OF(type, member) ((uint32_t)sizeof(((type *)0)->member))

/* One macro a kind. The ranges are in the unit of the member. */
#define NUMBER(key, form, type, member, low, high, value)                                          \
    {                                                                                              \
        .name = key, .kind = CONFIG_KEY_NUMBER, .number = form, .offset = offsetof(type, member),  \
        .size = SIZE_OF(type, member), .min = low, .max = high, .fallback = value                  \
    }
#define COUNT(key, type, member, low, high, value)                                                 \
    NUMBER(key, CONFIG_COUNT, type, member, low, high, value)
#define SIZE(key, type, member, low, high, value)                                                  \
    NUMBER(key, CONFIG_SIZE, type, member, low, high, value)
#define TIME(key, type, member, low, high, value)                                                  \
    NUMBER(key, CONFIG_DURATION_MS, type, member, low, high, value)
#define SECONDS(key, type, member, low, high, value)                                               \
    NUMBER(key, CONFIG_DURATION_S, type, member, low, high, value)
#define PERCENT(key, type, member, low, high, value)                                               \
    NUMBER(key, CONFIG_PERCENT, type, member, low, high, value)
#define BOOL(key, type, member, value) NUMBER(key, CONFIG_BOOL, type, member, 0, 1, value)
#define WORD(key, type, member, list, value)                                                       \
    {                                                                                              \
        .name = key, .kind = CONFIG_KEY_WORD, .offset = offsetof(type, member),                    \
        .size = SIZE_OF(type, member), .fallback = value, .words = list,                           \
        .word_count = COUNT_OF(list)                                                               \
    }
/* What follows the default are further members: .flags, .rule, .words. */
#define TEXT(key, type, member, ...)                                                               \
    {                                                                                              \
        .name = key, .kind = CONFIG_KEY_TEXT, .offset = offsetof(type, member),                    \
        .size = sizeof(char *), .fallback = __VA_ARGS__                                            \
    }
#define TEXTS(key, type, member, count_member, ...)                                                \
    {                                                                                              \
        .name = key, .kind = CONFIG_KEY_TEXTS, .offset = offsetof(type, member),                   \
        .size = sizeof(char *), .count_offset = offsetof(type, count_member), .rule = __VA_ARGS__  \
    }
/* A list with a default: its items with a space between. */
#define TEXTS_OR(key, type, member, count_member, value, ...)                                      \
    {                                                                                              \
        .name = key, .kind = CONFIG_KEY_TEXTS, .offset = offsetof(type, member),                   \
        .size = sizeof(char *), .count_offset = offsetof(type, count_member), .fallback = value,   \
        .rule = __VA_ARGS__                                                                        \
    }
#define FLAGS(key, type, member, list)                                                             \
    {                                                                                              \
        .name = key, .kind = CONFIG_KEY_FLAGS, .offset = offsetof(type, member),                   \
        .size = SIZE_OF(type, member), .words = list, .word_count = COUNT_OF(list)                 \
    }
#define SECTION(key, at, what, ...)                                                                \
    {                                                                                              \
        .name = key, .kind = CONFIG_KEY_SECTION, .offset = at, .section = &what##_section,         \
        .rule = __VA_ARGS__                                                                        \
    }
/* A mapping whose members belong to the struct around it. */
#define GROUP(key, what, ...) SECTION(key, 0, what, __VA_ARGS__)
#define SECTIONS(key, type, member, count_member, what, ...)                                       \
    {                                                                                              \
        .name = key, .kind = CONFIG_KEY_SECTIONS, .offset = offsetof(type, member),                \
        .count_offset = offsetof(type, count_member), .section = &what##_section,                  \
        .rule = __VA_ARGS__                                                                        \
    }
#define DEFINE_SECTION(what, type)                                                                 \
    static const struct config_section what##_section = {what##_keys, COUNT_OF(what##_keys),       \
                                                         sizeof(type), NULL}

/* ---- node, listen, client, head ---- */

static const struct config_key node_keys[] = {
    TEXT("id", struct settings, node_id, "auto", .rule = config_rule_node_id),
    TEXT("state_dir", struct settings, state_dir, "auto", .flags = CONFIG_MAY_BE_EMPTY,
         .rule = config_rule_state_dir),
    TEXT("user", struct settings, user, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("group", struct settings, group, "", .flags = CONFIG_MAY_BE_EMPTY),
    BOOL("core_dumps", struct settings, core_dumps, "false"),
    COUNT("workers", struct settings, workers, 0, 256, "0"),
    TIME("drain_grace", struct settings, drain_grace_ms, 0, DAY, "0"),
    TIME("drain_timeout", struct settings, drain_timeout_ms, 0, DAY, "30s"),
    SIZE("memory", struct settings, memory_bytes, 0, UINT64_C(1) << 50, "0"),
};
DEFINE_SECTION(node, struct settings);

static const struct config_key keepalive_keys[] = {
    BOOL("enabled", struct net_tuning, keepalive, "true"),
    SECONDS("idle", struct net_tuning, keepalive_idle_s, 0, 32767, "0"),
    SECONDS("interval", struct net_tuning, keepalive_interval_s, 0, 32767, "0"),
    COUNT("count", struct net_tuning, keepalive_count, 0, 127, "0"),
};
DEFINE_SECTION(keepalive, struct net_tuning);

#define LISTEN_TLS struct tls_listen_settings
static const cyaml_strval_t client_auth_words[] = {{"none", TLS_CLIENT_NONE},
                                                   {"optional", TLS_CLIENT_OPTIONAL},
                                                   {"required", TLS_CLIENT_REQUIRED}};
static const struct config_key listen_tls_keys[] = {
    BOOL("enabled", LISTEN_TLS, enabled, "false"), /* a mapping that does not say: true */
    WORD("client_auth", LISTEN_TLS, client_auth, client_auth_words, "none"),
    TEXT("client_ca", LISTEN_TLS, client_ca, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("client_crl", LISTEN_TLS, client_crl, "", .flags = CONFIG_MAY_BE_EMPTY),
    BOOL("http2", LISTEN_TLS, http2, "true"),
    BOOL("early_data", LISTEN_TLS, early_data, "false"),
};
DEFINE_SECTION(listen_tls, LISTEN_TLS);

static const struct config_key listen_keys[] = {
    TEXT("address", struct listen_settings, address, NULL, .flags = CONFIG_REQUIRED,
         .rule = config_rule_listen_address),
    COUNT("backlog", struct listen_settings, tuning.backlog, 1, 65535, "4096"),
    NUMBER("mode", CONFIG_MODE, struct listen_settings, mode, 0, 0777, "0660"),
    TEXT("user", struct listen_settings, user, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("group", struct listen_settings, group, "", .flags = CONFIG_MAY_BE_EMPTY),
    SECTION("keepalive", offsetof(struct listen_settings, tuning), keepalive, NULL),
    COUNT("fastopen", struct listen_settings, tuning.fastopen, 0, 65535, "0"),
    TIME("defer_accept", struct listen_settings, tuning.defer_accept_ms, 0, 60 * SECOND, "0"),
    SECTION("tls", offsetof(struct listen_settings, tls), listen_tls, config_rule_listen_tls),
    BOOL("h2c", struct listen_settings, h2c, "false"),
    TEXTS("proxy_protocol", struct listen_settings, proxy_protocol, proxy_protocol_count,
          config_rule_network),
    BOOL("redirect_https", struct listen_settings, redirect_https, "false"),
    COUNT("https_port", struct listen_settings, https_port, 1, 65535, "443"),
    TEXT("alt_svc", struct listen_settings, alt_svc, "", .flags = CONFIG_MAY_BE_EMPTY,
         .rule = config_rule_alt_svc),
    BOOL("misdirected", struct listen_settings, misdirected_allowed, "false"),
};
DEFINE_SECTION(listen, struct listen_settings);

static const struct config_key client_keys[] = {
    TIME("head_timeout", struct client_settings, head_timeout_ms, 1, HOUR, "10s"),
    TIME("first_timeout", struct client_settings, first_timeout_ms, 1, HOUR, "30s"),
    TIME("idle_timeout", struct client_settings, idle_timeout_ms, 1, DAY, "1m"),
    TIME("body_timeout", struct client_settings, body_timeout_ms, 1, DAY, "1m"),
    TIME("send_timeout", struct client_settings, send_timeout_ms, 1, DAY, "30s"),
    TIME("total_timeout", struct client_settings, total_timeout_ms, 0, 30 * DAY, "0"),
    TIME("tunnel_idle", struct client_settings, tunnel_idle_ms, 1, 30 * DAY, "5m"),
    SIZE("min_rate", struct client_settings, min_rate_bytes, 0, GiB, "500"),
    COUNT("requests_per_connection", struct client_settings, requests_per_connection, 1, 1000000000,
          "10000"),
    COUNT("connections", struct client_settings, connections, 1, 10000000, "16384"),
    COUNT("connections_per_client", struct client_settings, connections_per_client, 0, 10000000,
          "1024"),
};
DEFINE_SECTION(client, struct client_settings);

static const struct config_key head_keys[] = {
    SIZE("bytes", struct head_settings, head_bytes, KiB, MiB, "32KiB"),
    COUNT("fields", struct head_settings, fields, 1, 1000, "100"),
    SIZE("field_bytes", struct head_settings, field_bytes, 256, MiB, "8KiB"),
    SIZE("target_bytes", struct head_settings, target_bytes, 256, MiB, "8KiB"),
    BOOL("underscores", struct head_settings, underscores, "false"),
};
DEFINE_SECTION(head, struct head_settings);

static const struct config_key http2_abuse_keys[] = {
    COUNT("points", struct h2_settings, abuse.points, 0, 1000000, "1000"),
    COUNT("forgiven", struct h2_settings, abuse.forgiven_s, 1, 1000000, "100"),
    COUNT("continuations", struct h2_settings, abuse.continuations, 1, 256, "16"),
    COUNT("client_points", struct h2_settings, client_points, 0, 1000000, "4000"),
    COUNT("client_forgiven", struct h2_settings, client_forgiven_s, 1, 1000000, "400"),
};
DEFINE_SECTION(http2_abuse, struct h2_settings);

static const struct config_key http2_keys[] = {
    COUNT("max_streams", struct h2_settings, max_streams, 1, 10000, "100"),
    SIZE("stream_window", struct h2_settings, stream_window_bytes, 16 * KiB, GiB, "64KiB"),
    SIZE("connection_window", struct h2_settings, connection_window_bytes, 64 * KiB, GiB, "1MiB"),
    GROUP("abuse", http2_abuse, NULL),
};
DEFINE_SECTION(http2, struct h2_settings);

/* ---- forward, cache, log ---- */

static const cyaml_strval_t forwarded_words[] = {
    {"both", FORWARDED_BOTH},
    {"x", FORWARDED_X},
    {"rfc7239", FORWARDED_RFC7239},
    {"none", FORWARDED_NONE},
};
static const struct config_key forward_keys[] = {
    WORD("fields", struct forward_settings, fields, forwarded_words, "both"),
    TEXTS("trusted", struct forward_settings, trusted, trusted_count, config_rule_network),
    TEXT("pseudonym", struct forward_settings, pseudonym, "weir", .rule = config_rule_token),
    BOOL("via", struct forward_settings, via, "true"),
    BOOL("server_field", struct forward_settings, server_field, "false"),
    TEXT("request_id_field", struct forward_settings, request_id_field, "X-Request-ID",
         .rule = config_rule_optional_token, .flags = CONFIG_MAY_BE_EMPTY),
};
DEFINE_SECTION(forward, struct forward_settings);

#define SHARED_CACHE struct shared_cache_settings
static const struct config_key shared_cache_keys[] = {
    BOOL("enabled", SHARED_CACHE, enabled, "true"),
    SIZE("object_max", SHARED_CACHE, object_max_bytes, 1, TiB, "64MiB"),
    COUNT("store_after", SHARED_CACHE, store_after, 1, 1000, "1"),
    TIME("lease", SHARED_CACHE, lease_ms, 100, HOUR, "3s"),
    TIME("wait", SHARED_CACHE, wait_ms, 0, HOUR, "2s"),
    TIME("head_timeout", SHARED_CACHE, head_timeout_ms, 1, 10 * SECOND, "20ms"),
    TIME("body_timeout", SHARED_CACHE, body_timeout_ms, 1, 10 * SECOND, "50ms"),
};
DEFINE_SECTION(shared_cache, SHARED_CACHE);

static const struct config_key cache_keys[] = {
    SIZE("memory", struct cache_settings, memory_bytes, 0, 64 * TiB, "256MiB"),
    SIZE("object_max", struct cache_settings, object_max_bytes, 1, TiB, "8MiB"),
    COUNT("variants", struct cache_settings, variants, 1, 1000, "16"),
    TIME("collapse_timeout", struct cache_settings, collapse_timeout_ms, 0, HOUR, "5s"),
    TIME("hit_for_miss", struct cache_settings, hit_for_miss_ms, 0, DAY, "2m"),
    BOOL("status_field", struct cache_settings, status_field, "true"),
    TEXTS_OR("targets", struct cache_settings, targets, target_count, "CDN-Cache-Control",
             config_rule_token),
    BOOL("targets_forward", struct cache_settings, targets_forward, "true"),
    BOOL("surrogate_control", struct cache_settings, surrogate_control, "false"),
    TEXTS_OR("tag_fields", struct cache_settings, tag_fields, tag_field_count,
             "Surrogate-Key Cache-Tag", config_rule_token),
    BOOL("tag_fields_forward", struct cache_settings, tag_fields_forward, "false"),
    TEXTS("purge_clients", struct cache_settings, purge_clients, purge_client_count,
          config_rule_network),
    TEXTS("debug_clients", struct cache_settings, debug_clients, debug_client_count,
          config_rule_network),
    SECTION("shared", offsetof(struct cache_settings, shared), shared_cache, NULL),
};
DEFINE_SECTION(cache, struct cache_settings);

static const struct config_key compression_keys[] = {
    COUNT("zstd_level", struct compression_settings, zstd_level, 1, 19, "6"),
    COUNT("brotli_level", struct compression_settings, brotli_level, 1, 11, "5"),
    COUNT("gzip_level", struct compression_settings, gzip_level, 1, 9, "6"),
};
DEFINE_SECTION(compression, struct compression_settings);

#define REDIS struct farm_redis_settings
static const struct config_key redis_tls_keys[] = {
    BOOL("enabled", REDIS, tls, "false"),
    TEXT("ca_file", REDIS, tls_ca_file, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("server_name", REDIS, tls_server_name, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("certificate_file", REDIS, tls_certificate_file, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("key_file", REDIS, tls_key_file, "", .flags = CONFIG_MAY_BE_EMPTY),
};
DEFINE_SECTION(redis_tls, REDIS);

static const struct config_key redis_keys[] = {
    TEXTS("addresses", REDIS, addresses, address_count, config_rule_redis_address),
    TEXT("username", REDIS, username, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("password_file", REDIS, password_file, "", .flags = CONFIG_MAY_BE_EMPTY),
    GROUP("tls", redis_tls, config_rule_redis_tls),
    TIME("connect_timeout", REDIS, connect_timeout_ms, 10, 60 * SECOND, "1s"),
    BOOL("replica_reads", REDIS, replica_reads, "true"),
};
DEFINE_SECTION(redis, REDIS);

static const struct config_key farm_keys[] = {
    TEXT("name", struct farm_settings, name, "default", .rule = config_rule_name),
    TEXT("secret_file", struct farm_settings, secret_file, "", .flags = CONFIG_MAY_BE_EMPTY),
    SECTION("redis", offsetof(struct farm_settings, redis), redis, config_rule_redis),
    SECTION("state_redis", offsetof(struct farm_settings, state_redis), redis, config_rule_redis),
};
DEFINE_SECTION(farm, struct farm_settings);

#define ADMIN_TCP struct admin_tcp_settings
static const struct config_key admin_tls_keys[] = {
    TEXT("certificate_file", ADMIN_TCP, certificate_file, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("key_file", ADMIN_TCP, key_file, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("client_ca_file", ADMIN_TCP, client_ca_file, "", .flags = CONFIG_MAY_BE_EMPTY),
};
DEFINE_SECTION(admin_tls, ADMIN_TCP);

static const cyaml_strval_t role_words[] = {{"read", ADMIN_READ}, {"operate", ADMIN_OPERATE}};
static const struct config_key admin_token_keys[] = {
    TEXT("name", struct admin_token_settings, name, NULL, .flags = CONFIG_REQUIRED,
         .rule = config_rule_name),
    TEXT("token_file", struct admin_token_settings, token_file, NULL, .flags = CONFIG_REQUIRED),
    WORD("role", struct admin_token_settings, role, role_words, "read"),
};
DEFINE_SECTION(admin_token, struct admin_token_settings);

static const cyaml_strval_t admin_open_words[] = {{"metrics", ADMIN_OPEN_METRICS},
                                                  {"ready", ADMIN_OPEN_READY},
                                                  {"live", ADMIN_OPEN_LIVE}};
static const struct config_key admin_tcp_keys[] = {
    TEXT("address", ADMIN_TCP, address, "", .flags = CONFIG_MAY_BE_EMPTY),
    GROUP("tls", admin_tls, NULL),
    SECTIONS("tokens", ADMIN_TCP, tokens, token_count, admin_token, config_rule_admin_token),
    FLAGS("without_token", ADMIN_TCP, without_token, admin_open_words),
    COUNT("connections", ADMIN_TCP, connections, 1, 10000, "64"),
    COUNT("connections_per_address", ADMIN_TCP, connections_per_address, 0, 10000, "16"),
};
DEFINE_SECTION(admin_tcp, ADMIN_TCP);

static const struct config_key admin_keys[] = {
    TEXT("socket", struct admin_settings, socket, "auto", .rule = config_rule_admin_socket),
    NUMBER("mode", CONFIG_MODE, struct admin_settings, mode, 0, 0777, "0660"),
    TEXT("user", struct admin_settings, user, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("group", struct admin_settings, group, "", .flags = CONFIG_MAY_BE_EMPTY),
    COUNT("connections", struct admin_settings, connections, 1, 10000, "64"),
    TEXT("audit_file", struct admin_settings, audit_file, "", .flags = CONFIG_MAY_BE_EMPTY),
    SECTION("tcp", offsetof(struct admin_settings, tcp), admin_tcp, config_rule_admin_tcp),
};
DEFINE_SECTION(admin, struct admin_settings);

static const cyaml_strval_t level_words[] = {{"debug", 0}, {"info", 1}, {"warn", 2}, {"error", 3}};
static const cyaml_strval_t access_words[] = {
    {"off", ACCESS_LOG_OFF},
    {"combined", ACCESS_LOG_COMBINED},
    {"json", ACCESS_LOG_JSON},
};
static const struct config_key log_keys[] = {
    TEXT("level", struct log_settings, level, "info", .words = level_words,
         .word_count = COUNT_OF(level_words)),
    TEXT("error_file", struct log_settings, error_file, "-"),
    WORD("access", struct log_settings, access_format, access_words, "combined"),
    TEXT("access_file", struct log_settings, access_file, "-"),
    TEXTS("fields", struct log_settings, fields, field_count, config_rule_name),
};
DEFINE_SECTION(log, struct log_settings);

/* ---- upstreams ---- */

/* People write one line, "http://10.0.0.1:3000 weight=2"; these rows are what it becomes. */
#define ORIGIN struct origin_settings
static const struct config_key origin_keys[] = {
    TEXT("url", ORIGIN, url, NULL),
    TEXT("host", ORIGIN, host, NULL),
    TEXT("unix_path", ORIGIN, unix_path, NULL),
    COUNT("port", ORIGIN, port, 0, 65535, "0"),
    COUNT("weight", ORIGIN, weight, 1, 1000, "1"),
    COUNT("max_connections", ORIGIN, max_connections, 0, 1000000, "0"),
    BOOL("backup", ORIGIN, backup, "false"),
    BOOL("tls", ORIGIN, tls, "false"),
    BOOL("h2c", ORIGIN, h2c, "false"),
};
static const struct config_section origin_section = {origin_keys, COUNT_OF(origin_keys),
                                                     sizeof(ORIGIN), config_rule_origin};

#define UPSTREAM struct upstream_settings
static const cyaml_strval_t balance_words[] = {
    {"ewma2", BALANCE_EWMA2}, {"round_robin", BALANCE_ROUND_ROBIN},
    {"least", BALANCE_LEAST}, {"random", BALANCE_RANDOM},
    {"hash", BALANCE_HASH},
};
static const cyaml_strval_t hash_words[] = {
    {"path", HASH_ON_PATH},
    {"client", HASH_ON_CLIENT},
    {"field", HASH_ON_FIELD},
    {"cookie", HASH_ON_COOKIE},
};
static const struct config_key balance_keys[] = {
    WORD("method", UPSTREAM, balance, balance_words, "ewma2"),
    WORD("hash_on", UPSTREAM, hash_on, hash_words, "path"),
    TEXT("hash_name", UPSTREAM, hash_name, NULL, .rule = config_rule_token),
    PERCENT("hash_load", UPSTREAM, hash_load_percent, 101, 1000, "125%"),
    PERCENT("panic", UPSTREAM, panic_percent, 0, 100, "40%"),
};
DEFINE_SECTION(balance, UPSTREAM);

static const struct config_key sticky_keys[] = {
    TEXT("cookie", UPSTREAM, sticky_cookie, NULL, .rule = config_rule_token),
    SECONDS("max_age", UPSTREAM, sticky_max_age_s, 0, 400 * DAY_S, "0"),
};
DEFINE_SECTION(sticky, UPSTREAM);

static const struct config_key connections_keys[] = {
    COUNT("max", UPSTREAM, max_connections, 1, 1000000, "512"),
    COUNT("idle", UPSTREAM, max_idle, 0, 100000, "64"),
    TIME("idle_timeout", UPSTREAM, idle_timeout_ms, 1, DAY, "30s"),
    COUNT("requests", UPSTREAM, requests_per_connection, 0, 1000000000, "0"),
    COUNT("streams", UPSTREAM, streams, 1, 100000, "100"),
    COUNT("queue", UPSTREAM, queue, 0, 1000000, "1024"),
    TIME("queue_timeout", UPSTREAM, queue_timeout_ms, 1, HOUR, "5s"),
};
DEFINE_SECTION(connections, UPSTREAM);

static const struct config_key timeouts_keys[] = {
    TIME("connect", UPSTREAM, connect_timeout_ms, 1, HOUR, "2s"),
    TIME("first_byte", UPSTREAM, first_byte_timeout_ms, 1, DAY, "30s"),
    TIME("read", UPSTREAM, read_timeout_ms, 1, DAY, "30s"),
    TIME("write", UPSTREAM, write_timeout_ms, 1, DAY, "30s"),
};
DEFINE_SECTION(timeouts, UPSTREAM);

static const struct config_key retries_keys[] = {
    COUNT("attempts", UPSTREAM, retries, 0, 10, "1"),
    PERCENT("budget", UPSTREAM, retry_budget_percent, 0, 100, "20%"),
    BOOL("on_status", UPSTREAM, retry_on_status, "false"),
};
DEFINE_SECTION(retries, UPSTREAM);

static const struct config_key eject_keys[] = {
    COUNT("fails", UPSTREAM, max_fails, 0, 10000, "5"),
    TIME("base", UPSTREAM, eject_base_ms, 1, DAY, "10s"),
    TIME("max", UPSTREAM, eject_max_ms, 1, DAY, "5m"),
    PERCENT("percent", UPSTREAM, eject_percent, 0, 100, "50%"),
    BOOL("on_5xx", UPSTREAM, fail_on_5xx, "true"),
};
DEFINE_SECTION(eject, UPSTREAM);

static const struct config_key response_keys[] = {
    SIZE("max_bytes", UPSTREAM, response_max_bytes, 0, 64 * TiB, "0"),
    SIZE("head_bytes", UPSTREAM, head_bytes, KiB, MiB, "64KiB"),
    COUNT("fields", UPSTREAM, fields, 1, 1000, "200"),
};
DEFINE_SECTION(response, UPSTREAM);

#define HEALTH struct health_settings
static const cyaml_strval_t health_kind_words[] = {
    {"off", HEALTH_KIND_OFF},
    {"tcp", HEALTH_KIND_TCP},
    {"http", HEALTH_KIND_HTTP},
};
static const cyaml_strval_t health_method_words[] = {
    {"GET", HTTP_M_GET},
    {"HEAD", HTTP_M_HEAD},
    {"OPTIONS", HTTP_M_OPTIONS},
};
static const struct config_key health_field_keys[] = {
    TEXT("name", struct health_field_settings, name, NULL, .flags = CONFIG_REQUIRED,
         .rule = config_rule_token),
    TEXT("value", struct health_field_settings, value, NULL,
         .flags = CONFIG_REQUIRED | CONFIG_MAY_BE_EMPTY),
};
DEFINE_SECTION(health_field, struct health_field_settings);

static const struct config_key health_keys[] = {
    WORD("type", HEALTH, kind, health_kind_words, "off"),
    COUNT("port", HEALTH, port, 0, 65535, "0"),
    TEXT("path", HEALTH, path, "/", .rule = config_rule_health_path),
    TEXT("host", HEALTH, host, NULL, .rule = config_rule_authority),
    TEXT("method", HEALTH, method, "GET", .words = health_method_words,
         .word_count = COUNT_OF(health_method_words)),
    SECTIONS("fields", HEALTH, fields, field_count, health_field, config_rule_health_field),
    TEXT("expect_status", HEALTH, expect_status, "200-299", .rule = config_rule_health_status),
    TEXT("expect_body", HEALTH, expect_body, NULL, .rule = config_rule_health_body),
    TIME("interval", HEALTH, interval_ms, 100, HOUR, "2s"),
    TIME("fast_interval", HEALTH, fast_interval_ms, 100, HOUR, "500ms"),
    TIME("timeout", HEALTH, timeout_ms, 10, HOUR, "1s"),
    COUNT("rise", HEALTH, rise, 1, 100, "2"),
    COUNT("fall", HEALTH, fall, 1, 100, "3"),
};
DEFINE_SECTION(health, HEALTH);

#define UPSTREAM_TLS struct tls_client_settings
static const cyaml_strval_t upstream_tls_version_words[] = {{"1.2", 0}, {"1.3", 1}};
static const struct config_key upstream_tls_keys[] = {
    BOOL("verify", UPSTREAM_TLS, verify, "true"),
    TEXT("ca", UPSTREAM_TLS, ca, NULL),
    TEXT("name", UPSTREAM_TLS, name, NULL, .rule = config_rule_server_name),
    TEXT("certificate", UPSTREAM_TLS, certificate, NULL),
    TEXT("key", UPSTREAM_TLS, key, NULL),
    TEXT("min_version", UPSTREAM_TLS, min_version, "1.2", .words = upstream_tls_version_words,
         .word_count = COUNT_OF(upstream_tls_version_words)),
    TEXT("ciphers", UPSTREAM_TLS, ciphers, NULL),
    TEXT("ciphersuites", UPSTREAM_TLS, ciphersuites, NULL),
    TEXT("groups", UPSTREAM_TLS, groups, NULL),
    BOOL("http2", UPSTREAM_TLS, http2, "true"),
};
DEFINE_SECTION(upstream_tls, UPSTREAM_TLS);
static const cyaml_strval_t proxy_protocol_out_words[] = {
    {"off", ORIGIN_PROXY_OFF},
    {"v1", ORIGIN_PROXY_V1},
    {"v2", ORIGIN_PROXY_V2},
};

static const struct config_key upstream_keys[] = {
    TEXT("name", UPSTREAM, name, NULL, .flags = CONFIG_REQUIRED, .rule = config_rule_name),
    SECTIONS("origins", UPSTREAM, origins, origin_count, origin, NULL, .flags = CONFIG_REQUIRED),
    SECTION("tls", offsetof(UPSTREAM, tls), upstream_tls, config_rule_upstream_tls),
    WORD("proxy_protocol", UPSTREAM, proxy_protocol, proxy_protocol_out_words, "off"),
    GROUP("balance", balance, config_rule_balance),
    GROUP("sticky", sticky, NULL),
    TEXT("host", UPSTREAM, host, NULL, .rule = config_rule_authority),
    GROUP("connections", connections, NULL),
    GROUP("timeouts", timeouts, NULL),
    TIME("resolve_interval", UPSTREAM, resolve_interval_ms, SECOND, DAY, "30s"),
    GROUP("retries", retries, NULL),
    GROUP("eject", eject, config_rule_eject),
    SECTION("health", offsetof(UPSTREAM, health), health, config_rule_health),
    GROUP("response", response, NULL),
};
DEFINE_SECTION(upstream, UPSTREAM);

/* ---- routes: words in them that the router understands are judged by router_compile() ---- */

static const struct config_key pair_keys[] = {
    TEXT("name", struct match_pair_settings, name, NULL, .flags = CONFIG_REQUIRED),
    TEXT("value", struct match_pair_settings, value, NULL, .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("pattern", struct match_pair_settings, pattern, NULL),
    BOOL("absent", struct match_pair_settings, absent, "false"),
};
DEFINE_SECTION(pair, struct match_pair_settings);

#define MATCH struct match_settings
static const struct config_key match_keys[] = {
    TEXTS("hosts", MATCH, hosts, host_count, NULL),
    TEXTS("paths", MATCH, paths, path_count, NULL),
    TEXTS("methods", MATCH, methods, method_count, NULL),
    SECTIONS("fields", MATCH, fields, field_count, pair, NULL),
    SECTIONS("cookies", MATCH, cookies, cookie_count, pair, NULL),
    SECTIONS("query", MATCH, query, query_count, pair, NULL),
    TEXTS("clients", MATCH, clients, client_count, NULL),
};
DEFINE_SECTION(match, MATCH);

static const struct config_key split_keys[] = {
    TEXT("upstream", struct split_settings, upstream, NULL, .flags = CONFIG_REQUIRED,
         .rule = config_rule_upstream),
    COUNT("weight", struct split_settings, weight, 1, 1000, "1"),
};
DEFINE_SECTION(split, struct split_settings);

#define ROUTE struct route_settings
static const cyaml_strval_t redirect_words[] = {
    {"301", 301}, {"302", 302}, {"303", 303}, {"307", 307}, {"308", 308}};
static const struct config_key redirect_keys[] = {
    TEXT("to", ROUTE, redirect_to, NULL, .flags = CONFIG_REQUIRED),
    WORD("status", ROUTE, redirect_status, redirect_words, "308"),
};
DEFINE_SECTION(redirect, ROUTE);

static const struct config_key respond_keys[] = {
    COUNT("status", ROUTE, respond_status, 200, 599, "200"),
    TEXT("body", ROUTE, respond_body, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("type", ROUTE, respond_type, "text/plain; charset=utf-8"),
};
DEFINE_SECTION(respond, ROUTE);

static const struct config_key rewrite_keys[] = {
    TEXT("pattern", ROUTE, rewrite_pattern, NULL),
    TEXT("to", ROUTE, rewrite_to, NULL),
    TEXT("strip_prefix", ROUTE, strip_prefix, NULL),
    TEXT("add_prefix", ROUTE, add_prefix, NULL),
};
DEFINE_SECTION(rewrite, ROUTE);

static const struct config_key edit_keys[] = {
    TEXT("name", struct field_edit_settings, name, NULL, .flags = CONFIG_REQUIRED),
    TEXT("value", struct field_edit_settings, value, NULL,
         .flags = CONFIG_REQUIRED | CONFIG_MAY_BE_EMPTY),
};
DEFINE_SECTION(edit, struct field_edit_settings);

#define EDITS struct field_edits_settings
static const struct config_key edits_keys[] = {
    SECTIONS("set", EDITS, set, set_count, edit, NULL),
    SECTIONS("add", EDITS, add, add_count, edit, NULL),
    TEXTS("remove", EDITS, remove, remove_count, NULL),
};
DEFINE_SECTION(edits, EDITS);

#define CACHE_KEY struct cache_key_settings
static const cyaml_strval_t key_query_words[] = {
    {"all", KEY_QUERY_ALL},
    {"none", KEY_QUERY_NONE},
    {"only", KEY_QUERY_ONLY},
    {"except", KEY_QUERY_EXCEPT},
};
static const struct config_key cache_key_keys[] = {
    WORD("query", CACHE_KEY, query, key_query_words, "all"),
    TEXTS("parameters", CACHE_KEY, parameters, parameter_count, NULL),
    BOOL("sort", CACHE_KEY, sort, "false"),
    TEXT("host", CACHE_KEY, host, NULL, .rule = config_rule_authority),
    TEXTS("cookies", CACHE_KEY, cookies, cookie_count, config_rule_token),
    TEXTS("fields", CACHE_KEY, fields, field_count, config_rule_token),
    BOOL("no_vary_search", CACHE_KEY, no_vary_search, "true"),
};
DEFINE_SECTION(cache_key, CACHE_KEY);

/* People write "404 10s" or "500-599 1s"; these rows are what it becomes. */
#define STATUS_TTL struct cache_status_ttl
static const struct config_key status_ttl_keys[] = {
    COUNT("first", STATUS_TTL, first, 200, 999, "200"),
    COUNT("last", STATUS_TTL, last, 200, 999, "200"),
    SECONDS("seconds", STATUS_TTL, seconds, 0, 400 * DAY_S, "0"),
};
static const struct config_section status_ttl_section = {status_ttl_keys, COUNT_OF(status_ttl_keys),
                                                         sizeof(STATUS_TTL),
                                                         config_rule_status_ttl};

#define CACHE_TTL struct cache_ttl_settings
static const struct config_key cache_ttl_keys[] = {
    SECONDS("otherwise", CACHE_TTL, otherwise, 0, 400 * DAY_S, "0"),
    SECTIONS("status", CACHE_TTL, status, status_count, status_ttl, NULL),
    SECONDS("min", CACHE_TTL, min, 0, 400 * DAY_S, "0"),
    SECONDS("max", CACHE_TTL, max, 0, 400 * DAY_S, "0"),
};
DEFINE_SECTION(cache_ttl, CACHE_TTL);

#define DESPITE struct cache_despite_settings
static const cyaml_strval_t despite_store_words[] = {
    {"no-store", DESPITE_NO_STORE},   {"private", DESPITE_PRIVATE},
    {"no-cache", DESPITE_NO_CACHE},   {"authorization", DESPITE_AUTHORIZATION},
    {"vary-star", DESPITE_VARY_STAR},
};
static const cyaml_strval_t despite_stale_words[] = {
    {"must-revalidate", DESPITE_MUST_REVALIDATE},
    {"proxy-revalidate", DESPITE_PROXY_REVALIDATE},
    {"s-maxage", DESPITE_S_MAXAGE},
    {"no-cache", DESPITE_NO_CACHE},
};
static const struct config_key cache_despite_keys[] = {
    SECONDS("ttl", DESPITE, ttl, 0, 400 * DAY_S, "0"),
    FLAGS("store", DESPITE, store, despite_store_words),
    FLAGS("stale", DESPITE, stale, despite_stale_words),
    TEXTS("ignore_vary", DESPITE, ignore_vary, ignore_vary_count, config_rule_token),
};
DEFINE_SECTION(cache_despite, DESPITE);

static const struct config_key esi_keys[] = {
    BOOL("enabled", struct esi_settings, enabled, "false"),
    BOOL("require_surrogate", struct esi_settings, require_surrogate, "false"),
    BOOL("other_hosts", struct esi_settings, other_hosts, "false"),
    COUNT("depth", struct esi_settings, depth, 1, 10, "3"),
    COUNT("includes", struct esi_settings, includes, 1, 10000, "64"),
    SIZE("page_bytes", struct esi_settings, page_bytes, KiB, GiB, "8MiB"),
};
DEFINE_SECTION(esi, struct esi_settings);

#define ROUTE_CACHE struct route_cache_settings
static const cyaml_strval_t client_directives_words[] = {
    {"none", CLIENT_DIRECTIVES_NONE},
    {"sparing", CLIENT_DIRECTIVES_SPARING},
    {"all", CLIENT_DIRECTIVES_ALL},
};
static const cyaml_strval_t set_cookie_words[] = {{"pass", SET_COOKIE_PASS},
                                                  {"strip", SET_COOKIE_STRIP},
                                                  {"store", SET_COOKIE_STORE}};
static const cyaml_strval_t range_miss_words[] = {{"fetch", RANGE_MISS_FETCH},
                                                  {"pass", RANGE_MISS_PASS}};
static const struct config_key route_cache_keys[] = {
    BOOL("enabled", ROUTE_CACHE, enabled, "true"),
    BOOL("shared", ROUTE_CACHE, shared, "true"),
    BOOL("heuristic", ROUTE_CACHE, heuristic, "false"),
    WORD("client_directives", ROUTE_CACHE, client_directives, client_directives_words, "sparing"),
    WORD("set_cookie", ROUTE_CACHE, set_cookie, set_cookie_words, "pass"),
    SECONDS("stale_while_revalidate", ROUTE_CACHE, stale_while_revalidate_s, 0, 400 * DAY_S, "0"),
    SECONDS("stale_if_error", ROUTE_CACHE, stale_if_error_s, 0, 400 * DAY_S, "0"),
    PERCENT("refresh_ahead", ROUTE_CACHE, refresh_ahead_percent, 0, 50, "0%"),
    WORD("range_miss", ROUTE_CACHE, range_miss, range_miss_words, "fetch"),
    SIZE("slice", ROUTE_CACHE, slice_bytes, 0, GiB, "0"),
    SIZE("query_body", ROUTE_CACHE, query_body_bytes, 0, MiB, "16KiB"),
    SECTION("key", offsetof(ROUTE_CACHE, key), cache_key, NULL),
    SECTION("ttl", offsetof(ROUTE_CACHE, ttl), cache_ttl, NULL),
    SECTION("despite", offsetof(ROUTE_CACHE, despite), cache_despite, NULL),
    SECTION("esi", offsetof(ROUTE_CACHE, esi), esi, NULL),
};
DEFINE_SECTION(route_cache, ROUTE_CACHE);

#define ROUTE_COMPRESSION struct route_compression_settings
static const cyaml_strval_t ask_words[] = {{"identity", ASK_IDENTITY}, {"client", ASK_CLIENT}};
static const struct config_key route_compression_keys[] = {
    BOOL("enabled", ROUTE_COMPRESSION, enabled, "true"),
    TEXTS_OR("types", ROUTE_COMPRESSION, types, type_count,
             "text/* application/json application/ld+json application/manifest+json "
             "application/javascript application/xml application/xhtml+xml application/rss+xml "
             "application/atom+xml application/wasm application/vnd.api+json image/svg+xml "
             "image/x-icon image/bmp font/ttf font/otf application/vnd.ms-fontobject",
             config_rule_media_type),
    SIZE("min", ROUTE_COMPRESSION, min_bytes, 0, GiB, "1KiB"),
    BOOL("stream", ROUTE_COMPRESSION, stream, "false"),
    WORD("ask_origin", ROUTE_COMPRESSION, ask_origin, ask_words, "identity"),
};
DEFINE_SECTION(route_compression, ROUTE_COMPRESSION);

static const struct config_key limits_keys[] = {
    SIZE("body", ROUTE, body_max_bytes, 0, 64 * TiB, "16MiB"),
    TEXTS("rates", ROUTE, rates, rate_count, config_rule_rate_name),
    TIME("total_timeout", ROUTE, total_timeout_ms, 0, 30 * DAY, "0"),
};
DEFINE_SECTION(limits, ROUTE);

#define HSTS struct route_hsts_settings
static const struct config_key hsts_keys[] = {
    SECONDS("max_age", HSTS, max_age_s, 0, 10 * 365 * DAY_S, "0"),
    BOOL("include_subdomains", HSTS, include_subdomains, "false"),
    BOOL("preload", HSTS, preload, "false"),
};
DEFINE_SECTION(hsts, HSTS);

static const cyaml_strval_t client_cert_words[] = {{"none", ROUTE_CLIENT_CERT_NONE},
                                                   {"optional", ROUTE_CLIENT_CERT_OPTIONAL},
                                                   {"required", ROUTE_CLIENT_CERT_REQUIRED}};
static const cyaml_strval_t early_hints_words[] = {{"navigations", ROUTE_EARLY_HINTS_NAVIGATIONS},
                                                   {"all", ROUTE_EARLY_HINTS_ALL},
                                                   {"off", ROUTE_EARLY_HINTS_OFF}};
static const cyaml_strval_t health_words[] = {{"live", ROUTE_HEALTH_LIVE},
                                              {"ready", ROUTE_HEALTH_READY}};
static const cyaml_strval_t action_words[] = {{"upstream", ROUTE_UPSTREAM},
                                              {"redirect", ROUTE_REDIRECT},
                                              {"respond", ROUTE_RESPOND},
                                              {"health", ROUTE_HEALTH}};
static const struct config_key route_keys[] = {
    TEXT("name", ROUTE, name, NULL, .rule = config_rule_name),
    SECTION("match", offsetof(ROUTE, match), match, NULL),
    {.name = "upstream",
     .kind = CONFIG_KEY_TEXT,
     .flags = CONFIG_UNSTORED,
     .rule = config_rule_upstream},
    SECTIONS("split", ROUTE, split, split_count, split, NULL),
    GROUP("redirect", redirect, NULL),
    GROUP("respond", respond, config_rule_respond),
    WORD("health", ROUTE, health, health_words, NULL),
    {.name = "action",
     .kind = CONFIG_KEY_WORD,
     .flags = CONFIG_DERIVED,
     .offset = offsetof(ROUTE, action),
     .size = SIZE_OF(ROUTE, action),
     .words = action_words,
     .word_count = COUNT_OF(action_words),
     .fallback = "upstream"},
    GROUP("rewrite", rewrite, NULL),
    SECTION("request_fields", offsetof(ROUTE, request_fields), edits, NULL),
    SECTION("response_fields", offsetof(ROUTE, response_fields), edits, NULL),
    SECTION("cache", offsetof(ROUTE, cache), route_cache, NULL),
    SECTION("compression", offsetof(ROUTE, compression), route_compression, NULL),
    GROUP("limits", limits, NULL),
    BOOL("websocket", ROUTE, websocket, "false"),
    TEXTS("trailers", ROUTE, trailers, trailer_count, config_rule_token),
    WORD("client_certificate", ROUTE, client_certificate, client_cert_words, "none"),
    BOOL("early_data", ROUTE, early_data, "false"),
    WORD("early_hints", ROUTE, early_hints, early_hints_words, "all"),
    SECTION("hsts", offsetof(ROUTE, hsts), hsts, config_rule_hsts),
};
DEFINE_SECTION(route, ROUTE);

/* ---- readiness and hooks ---- */

static const struct config_key readiness_keys[] = {
    TIME("delay", struct readiness_settings, delay_ms, 0, HOUR, "5s"),
    BOOL("origins", struct readiness_settings, origins, "false"),
};
DEFINE_SECTION(readiness, struct readiness_settings);

#define HOOKS struct hook_settings
static const struct config_key hooks_keys[] = {
    TEXTS("ready", HOOKS, ready, ready_count, NULL, .flags = CONFIG_MAY_BE_EMPTY),
    TEXTS("unready", HOOKS, unready, unready_count, NULL, .flags = CONFIG_MAY_BE_EMPTY),
    TIME("timeout", HOOKS, timeout_ms, 1, HOUR, "10s"),
};
DEFINE_SECTION(hooks, HOOKS);

/* ---- TLS with clients ---- */

#define CERTIFICATE struct tls_certificate_settings
static const struct config_key certificate_keys[] = {
    TEXT("certificate", CERTIFICATE, certificate, NULL, .flags = CONFIG_REQUIRED),
    TEXT("key", CERTIFICATE, key, NULL),
    TEXT("ocsp", CERTIFICATE, ocsp, NULL),
};
DEFINE_SECTION(certificate, CERTIFICATE);

#define TLS struct tls_settings
static const cyaml_strval_t tls_version_words[] = {{"1.2", 0}, {"1.3", 1}};
static const cyaml_strval_t ocsp_words[] = {{"off", 0}, {"fetch", 1}};
static const struct config_key tls_keys[] = {
    SECTIONS("certificates", TLS, certificates, certificate_count, certificate, NULL),
    TEXT("directory", TLS, directory, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("min_version", TLS, min_version, "1.2", .words = tls_version_words,
         .word_count = COUNT_OF(tls_version_words)),
    TEXT("ciphers", TLS, ciphers, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("ciphersuites", TLS, ciphersuites, "", .flags = CONFIG_MAY_BE_EMPTY),
    TEXT("groups", TLS, groups, "X25519:P-256:P-384"),
    WORD("ocsp", TLS, ocsp_fetch, ocsp_words, "off"),
    TIME("handshake_timeout", TLS, handshake_timeout_ms, 100, HOUR, "5s"),
    COUNT("handshakes", TLS, handshakes, 1, 1000000, "1024"),
    COUNT("handshake_threads", TLS, handshake_threads, 0, 64, "2"),
    BOOL("tickets", TLS, tickets, "true"),
    TIME("ticket_rotation", TLS, ticket_rotation_ms, 2 * SECOND, 84 * HOUR, "8h"),
};
DEFINE_SECTION(tls, TLS);

/* ---- rate limits ---- */

#define LIMIT struct limit_settings
static const cyaml_strval_t missing_words[] = {{"share", LIMIT_MISSING_SHARE},
                                               {"exempt", LIMIT_MISSING_EXEMPT}};
static const struct config_key rate_limit_keys[] = {
    TEXT("name", LIMIT, name, NULL, .flags = CONFIG_REQUIRED, .rule = config_rule_name),
    TEXT("rate", LIMIT, rate, NULL, .flags = CONFIG_REQUIRED, .rule = config_rule_rate),
    COUNT("burst", LIMIT, burst, 0, WEIR_GCRA_BURST_MAX, "0"),
    TEXTS_OR("key", LIMIT, key, key_count, "client", config_rule_limit_part),
    COUNT("ipv4_prefix", LIMIT, ipv4_prefix, 0, 32, "32"),
    COUNT("ipv6_prefix", LIMIT, ipv6_prefix, 0, 128, "64"),
    WORD("missing", LIMIT, missing, missing_words, "share"),
    TEXTS("exempt", LIMIT, exempt, exempt_count, config_rule_network),
    COUNT("status", LIMIT, status, 400, 599, "429"),
    BOOL("fields", LIMIT, fields, "true"),
    BOOL("dry_run", LIMIT, dry_run, "false"),
    BOOL("all_routes", LIMIT, all_routes, "false"),
};
DEFINE_SECTION(rate_limit, LIMIT);

/* ---- the file ---- */

/* ---- acme ---- */

static const struct config_key acme_certificate_keys[] = {
    TEXTS("names", struct acme_certificate_settings, names, name_count, config_rule_acme_name,
          .flags = CONFIG_REQUIRED),
};
DEFINE_SECTION(acme_certificate, struct acme_certificate_settings);

#define ACME struct acme_settings
static const cyaml_strval_t acme_key_words[] = {
    {"ecdsa-p256", ACME_EC256}, {"ecdsa-p384", ACME_EC384}, {"rsa-2048", ACME_RSA2048},
    {"rsa-3072", ACME_RSA3072}, {"rsa-4096", ACME_RSA4096},
};
static const struct config_key acme_keys[] = {
    TEXT("directory", ACME, directory, "https://acme-v02.api.letsencrypt.org/directory",
         .rule = config_rule_acme_directory),
    TEXT("email", ACME, email, "", .flags = CONFIG_MAY_BE_EMPTY),
    BOOL("terms_agreed", ACME, terms_agreed, "false"),
    WORD("key_type", ACME, key_type, acme_key_words, "ecdsa-p256"),
    TIME("renew_before", ACME, renew_before_ms, 0, 400 * DAY, "0"),
    TEXT("client", ACME, client, "/usr/bin/uacme"),
    SECTIONS("certificates", ACME, certificates, certificate_count, acme_certificate, NULL),
};
DEFINE_SECTION(acme, ACME);

#define ALL struct settings
static const struct config_key all_keys[] = {
    {.name = "include", .kind = CONFIG_KEY_TEXTS, .flags = CONFIG_UNSTORED},
    GROUP("node", node, NULL),
    SECTIONS("listen", ALL, listens, listen_count, listen, config_rule_listen,
             .flags = CONFIG_REQUIRED),
    SECTION("client", offsetof(ALL, client), client, NULL),
    SECTION("head", offsetof(ALL, head), head, NULL),
    SECTION("http2", offsetof(ALL, http2), http2, NULL),
    SECTION("forward", offsetof(ALL, forward), forward, NULL),
    SECTION("cache", offsetof(ALL, cache), cache, NULL),
    SECTION("compression", offsetof(ALL, compression), compression, NULL),
    SECTIONS("upstreams", ALL, upstreams, upstream_count, upstream, config_rule_origins),
    SECTIONS("routes", ALL, routes, route_count, route, config_rule_route,
             .flags = CONFIG_REQUIRED),
    SECTIONS("limits", ALL, limits, limit_count, rate_limit, config_rule_limit),
    SECTION("log", offsetof(ALL, log), log, NULL),
    SECTION("admin", offsetof(ALL, admin), admin, NULL),
    SECTION("farm", offsetof(ALL, farm), farm, config_rule_farm),
    SECTION("readiness", offsetof(ALL, readiness), readiness, NULL),
    SECTION("hooks", offsetof(ALL, hooks), hooks, config_rule_hooks),
    SECTION("tls", offsetof(ALL, tls), tls, NULL),
    SECTION("acme", offsetof(ALL, acme), acme, config_rule_acme),
};
const struct config_section config_schema = {all_keys, COUNT_OF(all_keys), sizeof(ALL), NULL};

const struct config_key *config_schema_find(const char *path)
{
    const struct config_section *section = &config_schema;
    const struct config_key *key = NULL;

    while (*path != '\0' && section != NULL) {
        size_t len = strcspn(path, "."), i = 0;

        while (i < section->key_count && (strncmp(section->keys[i].name, path, len) != 0 ||
                                          section->keys[i].name[len] != '\0'))
            i++;
        if (i == section->key_count)
            return NULL;
        key = &section->keys[i];
        section = key->section;
        path += len + (path[len] == '.');
    }
    return key;
}
