#include "guard_loop.h"

#include "http_list.h"

/* received-by is the second word of a Via member: "1.1 weir (comment)" (RFC 9110 7.6.3). */
static struct weir_span received_by(struct weir_span member)
{
    size_t at = 0, end;

    while (at < member.len && member.ptr[at] != ' ' && member.ptr[at] != '\t')
        at++;
    while (at < member.len && (member.ptr[at] == ' ' || member.ptr[at] == '\t'))
        at++;
    end = at;
    while (end < member.len && member.ptr[end] != ' ' && member.ptr[end] != '\t')
        end++;
    return weir_span(member.ptr + at, end - at);
}

bool guard_loops(const struct http_head *request, struct weir_span pseudonym)
{
    struct http_list list;
    struct weir_span member, rest;

    if (http_head_has(request, HTTP_F_VIA)) {
        http_list_begin(&list, request, HTTP_F_VIA);
        while (http_list_next(&list, &member))
            if (weir_span_ieq(received_by(member), pseudonym))
                return true;
    }
    if (http_head_has(request, HTTP_F_CDN_LOOP)) {
        http_list_begin(&list, request, HTTP_F_CDN_LOOP);
        while (http_list_next(&list, &member))
            if (weir_span_ieq(weir_span_trim(http_list_item(member, &rest)), pseudonym))
                return true;
    }
    return false;
}
