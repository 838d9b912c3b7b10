/*
 * Bytes as an item, a list and a dictionary. What parses is walked to the end, every span lies
 * within the value, text never grows; the same value as two lines, cut at a comma, reads the same.
 */
#include "fuzz_http.h"

#include "weir/arena.h"
#include "http_sf.h"

static struct weir_span whole;

static void inside(struct weir_span s)
{
    MUST(s.len == 0 || (s.ptr >= whole.ptr && s.ptr + s.len <= whole.ptr + whole.len));
}

static void walk_bare(const struct http_sf_item *item)
{
    char *room = exact_copy(item->text.ptr, item->text.len);
    struct weir_span text = http_sf_text(item, room);

    inside(item->text);
    MUST(text.ptr == NULL || text.len <= item->text.len);
    MUST(item->number >= -999999999999999 && item->number <= 999999999999999);
    free(room);
}

static void walk_params(struct weir_span params)
{
    struct http_sf_item item;
    struct weir_span key;

    inside(params);
    while (http_sf_param_next(&params, &key, &item)) {
        MUST(key.len > 0 && item.type != HTTP_SF_INNER);
        walk_bare(&item);
    }
    MUST(params.len == 0);
}

static void walk_item(const struct http_sf_item *item)
{
    struct weir_span inner = item->text;
    struct http_sf_item each;

    if (item->type == HTTP_SF_INNER) {
        while (http_sf_inner_next(&inner, &each)) {
            MUST(each.type != HTTP_SF_INNER);
            walk_bare(&each);
            walk_params(each.params);
        }
        MUST(inner.len == 0);
    } else {
        walk_bare(item);
    }
    walk_params(item->params);
}

static unsigned walk_list(struct weir_span text)
{
    struct http_sf_item item;
    struct http_sf it;
    unsigned n = 0;

    if (!http_sf_list(&it, text))
        return 0;
    for (; http_sf_list_next(&it, &item); n++)
        walk_item(&item);
    MUST(it.rest.len == 0);
    return n;
}

static unsigned walk_dict(struct weir_span text)
{
    struct http_sf_item item, last;
    struct weir_span key;
    struct http_sf it;
    unsigned n = 0;

    if (!http_sf_dict(&it, text))
        return 0;
    for (; http_sf_dict_next(&it, &key, &item); n++) {
        inside(key);
        walk_item(&item);
        MUST(n > 64 || http_sf_dict_find(text, key, &last));
    }
    MUST(it.rest.len == 0);
    return n;
}

/* Two lines are what one is: the comma between them is the one that was cut out. */
static void check_lines(struct weir_span text, unsigned members)
{
    const char *comma = memchr(text.ptr, ',', text.len);
    struct http_field fields[2];
    struct weir_arena arena;
    struct weir_span joined;
    struct http_head h;
    size_t n;

    if (comma == NULL || memchr(text.ptr, '"', text.len) != NULL)
        return;
    n = (size_t)(comma - text.ptr);
    weir_arena_init(&arena, 0);
    http_head_init(&h, fields, 2);
    MUST(http_head_add_id(&h, NULL, HTTP_F_CACHE_CONTROL, weir_span(text.ptr, n)));
    MUST(http_head_add_id(&h, NULL, HTTP_F_CACHE_CONTROL, weir_span(comma + 1, text.len - n - 1)));
    MUST(http_sf_lines(&joined, &h, HTTP_F_CACHE_CONTROL, &arena));
    whole = joined;
    MUST(walk_list(joined) == members);
    weir_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = exact_copy(data, size);
    struct http_sf_item item;
    unsigned members;

    whole = weir_span(copy, size);
    if (http_sf_item(whole, &item))
        walk_item(&item);
    walk_dict(whole);
    members = walk_list(whole);
    check_lines(whole, members);
    free(copy);
    return 0;
}
