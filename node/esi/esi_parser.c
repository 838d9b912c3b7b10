#include "esi_parser.h"

#include <assert.h>

#include "esi_tag.h"

/*
 * Text is found in place. What may be the beginning of a mark ("<esi:", "-->" ...) at the end of
 * the input, and every tag, is copied into `hold`, where it waits for its rest.
 */

void esi_parser_init(struct esi_parser *p)
{
    p->mode = ESI_PAGE;
    p->unwrapped = p->in_tag = p->skips = false;
    p->quote = 0;
    p->held = p->out = 0;
}

/* ---- marks ---- */

enum mark {
    MARK_NONE,
    MARK_MAYBE, /* needs more bytes */
    MARK_TAG,
    MARK_UNWRAP,
    MARK_UNWRAP_END,
    MARK_REMOVE_END,
    MARK_COMMENT,
    MARK_COMMENT_END,
    MARK_CDATA,
    MARK_CDATA_END,
};

/* A word, and what the byte behind it must be. */
enum behind { BEHIND_ANY, BEHIND_NO_NAME, BEHIND_TAG_END };

struct mark_row {
    enum esi_mode mode;
    bool unwrapped_only, wrapped_only;
    enum mark mark;
    struct weir_span word;
    enum behind behind;
};

#define WORD(s)                                                                                    \
    {                                                                                              \
        (s), sizeof(s) - 1                                                                         \
    }

static const struct mark_row marks[] = {
    {ESI_PAGE, false, false, MARK_TAG, WORD("<esi:"), BEHIND_ANY},
    {ESI_PAGE, false, false, MARK_TAG, WORD("</esi:"), BEHIND_ANY},
    {ESI_PAGE, false, true, MARK_UNWRAP, WORD("<!--esi"), BEHIND_NO_NAME},
    {ESI_PAGE, false, true, MARK_COMMENT, WORD("<!--"), BEHIND_ANY},
    {ESI_PAGE, true, false, MARK_UNWRAP_END, WORD("-->"), BEHIND_ANY},
    {ESI_PAGE, false, false, MARK_CDATA, WORD("<![CDATA["), BEHIND_ANY},
    {ESI_REMOVED, false, false, MARK_REMOVE_END, WORD("</esi:remove"), BEHIND_TAG_END},
    {ESI_PLAIN_COMMENT, false, false, MARK_COMMENT_END, WORD("-->"), BEHIND_ANY},
    {ESI_CDATA, false, false, MARK_CDATA_END, WORD("]]>"), BEHIND_ANY},
};
#define MARKS (sizeof marks / sizeof marks[0])

static bool name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == ':' || c == '.';
}

static bool fits_behind(enum behind b, char c)
{
    switch (b) {
    case BEHIND_NO_NAME:
        return !name_byte(c);
    case BEHIND_TAG_END:
        return c == '>' || esi_is_space(c);
    case BEHIND_ANY:
        break;
    }
    return true;
}

static enum mark try_row(const struct mark_row *m, const char *at, size_t len)
{
    size_t n = len < m->word.len ? len : m->word.len;

    if (memcmp(at, m->word.ptr, n) != 0)
        return MARK_NONE;
    if (len < m->word.len + (m->behind != BEHIND_ANY))
        return MARK_MAYBE;
    if (m->behind != BEHIND_ANY && !fits_behind(m->behind, at[m->word.len]))
        return MARK_NONE;
    return m->mark;
}

/* Nearly every '<' of a page begins a tag that is not ours. */
static bool other_tag(const char *at, size_t len)
{
    if (at[0] != '<' || len < 3)
        return false;
    return at[1] == '/' ? at[2] != 'e' : at[1] != 'e' && at[1] != '!';
}

/* Which mark begins at `at`; *word: its length. The first row that may fit decides. */
static enum mark mark_at(const struct esi_parser *p, const char *at, size_t len, size_t *word)
{
    if (other_tag(at, len))
        return MARK_NONE;
    for (size_t i = 0; i < MARKS; i++) {
        const struct mark_row *m = &marks[i];
        enum mark found;

        if (m->mode != p->mode || (m->unwrapped_only && !p->unwrapped) ||
            (m->wrapped_only && p->unwrapped))
            continue;
        found = try_row(m, at, len);
        if (found != MARK_NONE) {
            /* The dashes that open a comment may close it too ("<!-->", HTML 13.2.5.44). */
            *word = found == MARK_COMMENT ? 2 : m->word.len;
            return found;
        }
    }
    return MARK_NONE;
}

/* Where the next mark could begin. */
static size_t candidate(const struct esi_parser *p, const char *text, size_t from, size_t len)
{
    const char *at;

    if (p->mode == ESI_PAGE && p->unwrapped) {
        while (from < len && text[from] != '<' && text[from] != '-')
            from++;
        return from;
    }
    at = memchr(text + from,
                p->mode == ESI_CDATA           ? ']'
                : p->mode == ESI_PLAIN_COMMENT ? '-'
                                               : '<',
                len - from);
    return at != NULL ? (size_t)(at - text) : len;
}

/* Marks that are text themselves and only say what the text behind them is. */
static bool changes_mode(struct esi_parser *p, enum mark mark)
{
    switch (mark) {
    case MARK_COMMENT:
        p->mode = ESI_PLAIN_COMMENT;
        return true;
    case MARK_CDATA:
        p->mode = ESI_CDATA;
        return true;
    case MARK_COMMENT_END:
    case MARK_CDATA_END:
        p->mode = ESI_PAGE;
        return true;
    default:
        return false;
    }
}

/* Marks that are left out. */
static void leave_out(struct esi_parser *p, enum mark mark)
{
    if (mark == MARK_REMOVE_END) {
        p->mode = ESI_PAGE;
        p->skips = true;
    } else {
        p->unwrapped = mark == MARK_UNWRAP;
    }
}

/* ---- what is held ---- */

static void drop_held(struct esi_parser *p, uint32_t n)
{
    p->held -= n;
    memmove(p->hold, p->hold + n, p->held);
}

/* The first n held bytes are text; or nothing, inside a remove. */
static enum esi_event held_text(struct esi_parser *p, uint32_t n, struct esi_token *out)
{
    out->text = weir_span(p->hold, n);
    out->held = true;
    p->out = n;
    return ESI_TEXT;
}

static char take_byte(struct weir_span *in)
{
    char c = *in->ptr++;

    in->len--;
    return c;
}

/* The tag in hold is whole. ESI_MORE: nothing comes out of it. */
static enum esi_event finish_tag(struct esi_parser *p, struct esi_token *out)
{
    enum esi_tag tag = esi_tag_read(p->hold, p->held, &out->include);

    p->in_tag = false;
    switch (tag) {
    case ESI_TAG_INCLUDE:
        p->out = p->held;
        return ESI_INCLUDE;
    case ESI_TAG_REMOVE:
        p->mode = ESI_REMOVED;
        p->held = 0;
        return ESI_MORE;
    case ESI_TAG_DROP:
        p->held = 0;
        return ESI_MORE;
    case ESI_TAG_OTHER:
        break;
    }
    return held_text(p, p->held, out);
}

/* Gathers a tag up to its '>'. What turns out to be none is text. */
static enum esi_event gather_tag(struct esi_parser *p, struct weir_span *in, struct esi_token *out)
{
    while (in->len > 0) {
        char c = *in->ptr;

        if (p->held == ESI_TAG_MAX || (c == '<' && p->quote == 0)) {
            p->in_tag = false;
            return held_text(p, p->held, out);
        }
        p->hold[p->held++] = take_byte(in);
        if (p->quote != 0)
            p->quote = c == p->quote ? 0 : p->quote;
        else if (c == '"' || c == '\'')
            p->quote = c;
        else if (c == '>')
            return finish_tag(p, out);
    }
    return ESI_MORE;
}

static void begin_tag(struct esi_parser *p)
{
    p->in_tag = true;
    p->quote = 0;
}

/* Decides what the few held bytes are, with bytes of the input where needed. ESI_MORE: nothing
 * comes out. */
static enum esi_event settle_held(struct esi_parser *p, struct weir_span *in, struct esi_token *out)
{
    while (p->held > 0 && !p->in_tag && !p->skips) {
        size_t word = 0;
        enum mark mark = mark_at(p, p->hold, p->held, &word);

        if (mark == MARK_MAYBE) {
            if (in->len == 0)
                return ESI_MORE;
            p->hold[p->held++] = take_byte(in);
        } else if (mark == MARK_TAG) {
            begin_tag(p);
        } else if (mark == MARK_NONE || changes_mode(p, mark)) {
            size_t n = mark != MARK_NONE ? word : candidate(p, p->hold, 1, p->held);

            if (p->mode != ESI_REMOVED)
                return held_text(p, (uint32_t)n, out);
            drop_held(p, (uint32_t)n);
        } else {
            leave_out(p, mark);
            drop_held(p, (uint32_t)word);
        }
    }
    return ESI_MORE;
}

/* ---- what is not ---- */

/* Up to and with the next '>'. */
static void skip_tag_end(struct esi_parser *p, struct weir_span *in)
{
    while (p->held > 0 && p->skips) {
        p->skips = p->hold[0] != '>';
        drop_held(p, 1);
    }
    while (in->len > 0 && p->skips)
        p->skips = take_byte(in) != '>';
}

/* How much of the input is text; *mark, *word: what comes then. */
static size_t text_length(struct esi_parser *p, struct weir_span in, enum mark *mark, size_t *word)
{
    size_t at = 0;

    *mark = MARK_NONE;
    while ((at = candidate(p, in.ptr, at, in.len)) < in.len) {
        *mark = mark_at(p, in.ptr + at, in.len - at, word);
        if (*mark != MARK_NONE && !changes_mode(p, *mark))
            return at;
        at += *mark == MARK_NONE ? 1 : *word;
        *mark = MARK_NONE;
    }
    return in.len;
}

static void hold_input(struct esi_parser *p, struct weir_span *in, size_t n)
{
    assert(p->held + n <= ESI_TAG_MAX);
    memcpy(p->hold + p->held, in->ptr, n);
    p->held += (uint32_t)n;
    in->ptr += n;
    in->len -= n;
}

static enum esi_event scan(struct esi_parser *p, struct weir_span *in, struct esi_token *out)
{
    enum mark mark;
    size_t word = 0;
    bool removed = p->mode == ESI_REMOVED;
    size_t n = text_length(p, *in, &mark, &word);
    struct weir_span text = weir_span(in->ptr, n);

    in->ptr += n;
    in->len -= n;
    if (mark == MARK_MAYBE) {
        hold_input(p, in, in->len);
    } else if (mark == MARK_TAG) {
        hold_input(p, in, word);
        begin_tag(p);
    } else if (mark != MARK_NONE) {
        leave_out(p, mark);
        in->ptr += word;
        in->len -= word;
    }
    if (n == 0 || removed)
        return ESI_MORE;
    out->text = text;
    out->held = false;
    return ESI_TEXT;
}

/* ---- the doors ---- */

enum esi_event esi_parser_next(struct esi_parser *p, struct weir_span *in, struct esi_token *out)
{
    enum esi_event e = ESI_MORE;

    drop_held(p, p->out);
    p->out = 0;
    while (e == ESI_MORE && (in->len > 0 || p->held > 0)) {
        size_t left = in->len;
        uint32_t held = p->held;

        if (p->skips)
            skip_tag_end(p, in);
        else if (p->in_tag)
            e = gather_tag(p, in, out);
        else if (p->held > 0)
            e = settle_held(p, in, out);
        else
            e = scan(p, in, out);
        if (e == ESI_MORE && in->len == 0 && left == 0 && p->held == held)
            break; /* waits for bytes */
    }
    return e;
}

enum esi_event esi_parser_end(struct esi_parser *p, struct esi_token *out)
{
    drop_held(p, p->out);
    p->out = 0;
    p->in_tag = false;
    if (p->held == 0 || p->mode == ESI_REMOVED || p->skips)
        return ESI_MORE;
    return held_text(p, p->held, out);
}
