#include "admin_audit.h"

#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FROM_MAX    (NET_TEXT_MAX + 16)
#define TARGET_MAX  600 /* a line of the error log has room for so much */
#define OUTCOME_MAX 200

/* In ASCII: what drives a terminal does not do so from the audit file. */
#define AUDIT_LINE (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(13))

/* ---- who, and from where ---- */

static bool user_name(uid_t uid, char out[ADMIN_WHO_MAX])
{
    FILE *f = fopen("/etc/passwd", "re");
    struct passwd entry, *found;
    char line[1024];
    bool ok = false;

    while (f != NULL && !ok && fgetpwent_r(f, &entry, line, sizeof line, &found) == 0)
        ok = entry.pw_uid == uid &&
             snprintf(out, ADMIN_WHO_MAX, "%s", entry.pw_name) < ADMIN_WHO_MAX;
    if (f != NULL)
        fclose(f);
    return ok;
}

void admin_audit_who(const struct admin_call *c, char out[ADMIN_WHO_MAX])
{
    if (c->who[0] != '\0')
        snprintf(out, ADMIN_WHO_MAX, "%s", c->who);
    else if (c->peer.tcp || c->peer.uid == (uid_t)-1)
        snprintf(out, ADMIN_WHO_MAX, "-");
    else if (!user_name(c->peer.uid, out))
        snprintf(out, ADMIN_WHO_MAX, "uid:%lu", (unsigned long)c->peer.uid);
}

static void where_from(const struct admin_call *c, char out[FROM_MAX])
{
    if (c->peer.tcp)
        net_peer_text(&c->peer.address, out);
    else
        snprintf(out, FROM_MAX, "unix:%ld", (long)c->peer.pid);
}

/* ---- the lines ---- */

/* In quotes; what would end them is escaped, control bytes are the log's business. */
static void quote(const char *text, char *out, size_t cap)
{
    size_t n = 0;

    out[n++] = '"';
    for (; *text != '\0' && n < cap - 8; text++) {
        if (*text == '"' || *text == '\\')
            out[n++] = '\\';
        out[n++] = *text;
    }
    if (*text != '\0')
        n += (size_t)snprintf(out + n, 4, "...");
    out[n++] = '"';
    out[n] = '\0';
}

static json_t *text_of(const char *text)
{
    json_t *json = json_string(text);

    return json != NULL ? json : json_string("(bytes that are no UTF-8)");
}

static void write_line(struct weir_sink *sink, const char *who, const char *from, const char *did,
                       const char *target, const char *outcome)
{
    struct weir_clock now = {0};
    json_t *line;
    char *text;
    size_t len;

    weir_clock_update(&now);
    line = json_pack("{s:f, s:o, s:s, s:o, s:o, s:o}", "at", (double)now.wall_ms / 1000, "who",
                     text_of(who), "from", from, "did", text_of(did), "target", text_of(target),
                     "outcome", text_of(outcome));
    text = line != NULL ? json_dumps(line, AUDIT_LINE) : NULL;
    json_decref(line);
    if (text == NULL) {
        weir_log(WEIR_LOG_ERROR, "out of memory: a line is missing in the audit file");
        return;
    }
    len = strlen(text);
    text[len] = '\n'; /* in place of its end */
    if (!weir_sink_write(sink, 0, text, len + 1))
        weir_log(WEIR_LOG_ERROR, "the audit file is too slow: a line is missing in it");
    free(text);
}

void admin_audit_write(struct weir_sink *sink, const struct admin_call *c, const char *did,
                       const char *target, const char *outcome)
{
    /* A log that shows errors alone shows this too. */
    enum weir_log_level level = weir_log_enabled(WEIR_LOG_INFO) ? WEIR_LOG_INFO : WEIR_LOG_ERROR;
    char who[ADMIN_WHO_MAX], from[FROM_MAX], in[TARGET_MAX], out[OUTCOME_MAX];

    admin_audit_who(c, who);
    where_from(c, from);
    quote(target, in, sizeof in);
    quote(outcome, out, sizeof out);
    weir_log(level, "audit: who=%s from=%s did=%s target=%s outcome=%s", who, from, did, in, out);
    if (sink != NULL)
        write_line(sink, who, from, did, target, outcome);
}
