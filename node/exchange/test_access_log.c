#include "access_log.h"

#include "test_exchange.h"

#include <stdio.h>
#include <unistd.h>

#include "weir/log.h"

static char path[64];

/* The line this exchange gives; owned by the caller. */
static char *line_of(struct made *m, bool complete, size_t *len)
{
    struct weir_err err = {0};
    char *text = malloc(8192);
    FILE *f;

    snprintf(path, sizeof path, "/tmp/test_access_log.%d", (int)getpid());
    unlink(path);
    m->w.access = weir_sink_open(path, 1, 65536, &err);
    assert_non_null(m->w.access);
    access_log_write(&m->x, complete);
    weir_sink_close(m->w.access);
    m->w.access = NULL;
    f = fopen(path, "r");
    assert_non_null(f);
    *len = fread(text, 1, 8191, f);
    text[*len] = '\0';
    fclose(f);
    unlink(path);
    return text;
}

static void open_log(struct made *m, enum access_log_format format, const char **fields, size_t n)
{
    struct weir_err err = {0};

    made_open(m);
    m->log = (struct log_settings){.access_format = format, .fields = fields, .field_count = n};
    assert_true(access_format_new(&m->log, &m->site.log, &err));
}

/* ---- JSON, judged by a parser of its own ---- */

static const char *json_string(const char *at, const char *end)
{
    if (at >= end || *at++ != '"')
        return NULL;
    while (at < end && *at != '"') {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
            return NULL;
        if (*at++ != '\\')
            continue;
        if (at >= end || strchr("\"\\/bfnrtu", *at) == NULL)
            return NULL;
        if (*at++ == 'u')
            for (int i = 0; i < 4; i++)
                if (at >= end || strchr("0123456789abcdef", *at++) == NULL)
                    return NULL;
    }
    return at < end ? at + 1 : NULL;
}

/* An object of strings, numbers and words in one line; returns the number of members, -1 if it is
 * none. */
static int json_members(const char *text, size_t len)
{
    const char *at = text, *end = text + len;
    int n = 0;

    if (len < 3 || end[-1] != '\n' || memchr(text, '\n', len) != end - 1 || *at++ != '{')
        return -1;
    end--;
    while (at < end && *at != '}') {
        if (n++ > 0 && *at++ != ',')
            return -1;
        at = json_string(at, end);
        if (at == NULL || at >= end || *at++ != ':')
            return -1;
        if (*at == '"') {
            at = json_string(at, end);
            if (at == NULL)
                return -1;
        } else {
            size_t word = strspn(at, "-0123456789abcdefghijklmnopqrstuvwxyz");

            if (word == 0)
                return -1;
            at += word;
        }
    }
    return at + 1 == end ? n : -1;
}

static void a_json_line_has_the_default_fields(void **state)
{
    struct made m;
    size_t len;
    char *line;

    (void)state;
    open_log(&m, ACCESS_LOG_JSON, NULL, 0);
    made_request(&m, "GET /a?b=\"c\" HTTP/1.1\r\nHost: x\r\nReferer: http://r/\r\n"
                     "User-Agent: say \"hi\" \\ \xc3\xa9\r\n\r\n");
    m.x.responded = true;
    m.x.response.status = 200;
    m.x.sent_bytes = 12345;
    line = line_of(&m, true, &len);
    assert_int_equal(json_members(line, len), 21);
    assert_non_null(strstr(line, "\"time\":\"2026-11-23T06:36:52.123Z\""));
    assert_non_null(strstr(line, "\"client\":\"192.0.2.7\""));
    assert_non_null(strstr(line, "\"target\":\"/a?b=\\\"c\\\"\""));
    assert_non_null(strstr(line, "\"status\":200,\"bytes\":12345,\"duration_us\":1000000"));
    assert_non_null(strstr(line, "\"complete\":true"));
    assert_non_null(strstr(line, "\"user_agent\":\"say \\\"hi\\\" \\\\ \\u00c3\\u00a9\""));
    free(line);
    made_close(&m);
}

static void chosen_fields_come_in_their_order(void **state)
{
    const char *fields[] = {"status", "client", "complete", "trace_id", "origin_status"};
    struct made m;
    size_t len;
    char *line;

    (void)state;
    open_log(&m, ACCESS_LOG_JSON, fields, 5);
    made_request(&m,
                 "GET / HTTP/1.1\r\nHost: x\r\n"
                 "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n");
    m.x.origin_status = 503;
    line = line_of(&m, false, &len);
    assert_string_equal(line, "{\"status\":499,\"client\":\"192.0.2.7\",\"complete\":false,"
                              "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\","
                              "\"origin_status\":503}\n");
    free(line);
    made_close(&m);
}

/* Every byte that a client can put into a value, in every place where one can be put. */
static void hostile_bytes_stay_inside_their_string(void **state)
{
    char agent[600], request[2048];
    struct made m;
    size_t len, n = 0;
    char *line;

    (void)state;
    for (int c = 1; c < 256; c++)
        if ((c >= 0x20 && c != 0x7f) || c == '\t')
            agent[n++] = (char)c;
    agent[n] = '\0';
    for (int format = ACCESS_LOG_COMBINED; format <= ACCESS_LOG_JSON; format++) {
        open_log(&m, (enum access_log_format)format, NULL, 0);
        snprintf(request, sizeof request,
                 "GET /%%22%%0d\",\"x\":\"{} HTTP/1.1\r\nHost: x\r\n"
                 "User-Agent: a%sz\r\nReferer: a%sz\r\n\r\n",
                 agent, agent);
        /* The target holds an encoded control, which is refused: logged as it came. */
        m.x.req = (struct http_head){0};
        {
            struct http_parser p;
            struct weir_err err;

            http_parser_init(&p);
            http_head_init(&m.x.req, m.fields, MADE_FIELDS);
            assert_int_equal(http_parse_request(&p, &http_request_limits, &m.x.req, request,
                                                strlen(request), &err),
                             HTTP_PARSED);
        }
        m.x.responded = true;
        m.x.response.status = 400;
        line = line_of(&m, true, &len);
        assert_true(len > 0 && line[len - 1] == '\n' && memchr(line, '\n', len) == line + len - 1);
        for (size_t i = 0; i + 1 < len; i++)
            assert_in_range((unsigned char)line[i], 0x20, 0x7e);
        if (format == ACCESS_LOG_JSON)
            assert_int_equal(json_members(line, len), 21);
        free(line);
        made_close(&m);
    }
}

static void values_that_are_too_long_are_cut_and_the_line_stays_whole(void **state)
{
    static const size_t lengths[] = {1000, 1023, 1024, 1025, 2000, 4000, 5000, 8000};
    char *request = malloc(70000), *value = malloc(9000);

    (void)state;
    for (int bytes = 0; bytes < 3; bytes++)
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            struct made m;
            size_t len;
            char *line;

            memset(value, bytes == 0 ? 'a' : bytes == 1 ? '"' : '\xff', lengths[i]);
            value[lengths[i]] = '\0';
            sprintf(request,
                    "GET /%.*s HTTP/1.1\r\nHost: x\r\nUser-Agent: %s\r\nReferer: %s\r\n\r\n",
                    (int)lengths[i], bytes == 0 ? value : "", value, value);
            for (int format = ACCESS_LOG_COMBINED; format <= ACCESS_LOG_JSON; format++) {
                open_log(&m, (enum access_log_format)format, NULL, 0);
                made_request(&m, request);
                m.x.responded = true;
                m.x.response.status = 200;
                line = line_of(&m, true, &len);
                assert_in_range(len, 10, 4096);
                assert_true(line[len - 1] == '\n' && memchr(line, '\n', len) == line + len - 1);
                if (format == ACCESS_LOG_JSON)
                    assert_in_range(json_members(line, len), 18, 21);
                free(line);
                made_close(&m);
            }
        }
    free(request);
    free(value);
}

static void a_combined_line_is_what_every_tool_reads(void **state)
{
    struct made m;
    size_t len;
    char *line;

    (void)state;
    open_log(&m, ACCESS_LOG_COMBINED, NULL, 0);
    made_request(&m, "GET /a HTTP/1.0\r\nHost: x\r\nUser-Agent: a\"b\r\n\r\n");
    m.x.responded = true;
    m.x.response.status = 404;
    m.x.sent_bytes = 7;
    line = line_of(&m, true, &len);
    assert_string_equal(line,
                        "192.0.2.7 - - [23/Nov/2026:06:36:52 +0000] \"GET /a HTTP/1.0\" 404 7 "
                        "\"-\" \"a\\\"b\"\n");
    free(line);
    made_close(&m);
}

static void a_refused_request_is_logged_without_what_it_lacks(void **state)
{
    struct made m;
    size_t len;
    char *line;

    (void)state;
    open_log(&m, ACCESS_LOG_JSON, NULL, 0);
    m.x.started = false;
    m.x.route = NULL;
    m.x.responded = true;
    m.x.response.status = 400;
    m.x.err.code = WEIR_E_BAD_REQUEST;
    line = line_of(&m, true, &len);
    assert_int_equal(json_members(line, len), 21);
    assert_non_null(strstr(line, "\"error\":\"BAD_REQUEST\""));
    assert_non_null(strstr(line, "\"method\":\"\""));
    free(line);
    made_close(&m);
}

static void formats_are_checked_when_they_are_made(void **state)
{
    const char *unknown[] = {"status", "nothing"};
    struct log_settings s = {.access_format = ACCESS_LOG_JSON, .fields = unknown, .field_count = 2};
    struct access_format *f = NULL;
    struct weir_err err = {0};
    const char *all[64];
    unsigned n = 0;

    (void)state;
    assert_false(access_format_new(&s, &f, &err));
    assert_int_equal(err.code, WEIR_E_CONFIG);
    assert_non_null(strstr(err.detail, "nothing"));
    while (access_field_name(n) != NULL) {
        all[n] = access_field_name(n);
        n++;
    }
    s = (struct log_settings){.access_format = ACCESS_LOG_JSON, .fields = all, .field_count = n};
    assert_true(access_format_new(&s, &f, &err));
    access_format_free(f);
#ifdef WEIR_FAULTS
    weir_alloc_fail_at(1);
    assert_false(access_format_new(&s, &f, &err));
    weir_alloc_fail_at(0);
    assert_int_equal(err.code, WEIR_E_MEMORY);
#endif
    s.access_format = ACCESS_LOG_OFF;
    assert_true(access_format_new(&s, &f, &err));
    assert_null(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_line_has_the_default_fields),
        cmocka_unit_test(chosen_fields_come_in_their_order),
        cmocka_unit_test(hostile_bytes_stay_inside_their_string),
        cmocka_unit_test(values_that_are_too_long_are_cut_and_the_line_stays_whole),
        cmocka_unit_test(a_combined_line_is_what_every_tool_reads),
        cmocka_unit_test(a_refused_request_is_logged_without_what_it_lacks),
        cmocka_unit_test(formats_are_checked_when_they_are_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
