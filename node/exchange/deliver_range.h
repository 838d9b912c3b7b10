/*
 * deliver_range.h - parts of a 200 that is there, or on its way: 206, multipart/byteranges, 416.
 *
 * Zero-copy: what is sent are slices of the whole, cut at the ends.
 *
 * Source: RFC 9110 13.2.2 (order of conditions), 14.2, 14.6, 15.3.7, 15.5.17.
 */
#ifndef DELIVER_RANGE_H
#define DELIVER_RANGE_H

#include "body.h"
#include "exchange.h"
#include "http_range.h"

/* What of a response can be sent in parts. */
struct range_whole {
    struct exchange_body body; /* the whole; taken when PARTS is the outcome */
    const struct weir_slice
        *slices; /* its bytes, when all are at hand; NULL: they come by `body` */
    uint32_t slice_count;
    uint64_t length;
    /* Makes `body` give this part alone; NULL: what is before it has to be read and skipped. */
    void (*seek)(void *state, const struct http_range *part);
};

enum range_outcome {
    RANGE_NO,            /* it goes out whole */
    RANGE_PARTS,         /* *view is the head of a 206; x->response has its length and body */
    RANGE_UNSATISFIABLE, /* *view is the head of a 416, without content */
    RANGE_FAILED,        /* x->err: MEMORY */
};

/* The cheap question: a GET with a Range that may count. */
static inline bool range_asked(const struct http_head *req)
{
    return http_head_has(req, HTTP_F_RANGE) && req->method_id == HTTP_M_GET;
}

/* Takes out of the head of a 206 what is true of its part only; it becomes that of the 200. */
void range_make_whole(struct http_head *view);

/* Do the fields permit parts of it to be sent: no "Accept-Ranges: none"? */
bool range_permitted(const struct http_field *fields, uint32_t count);

/*
 * x asks for a range of a 200 with this head; no other condition of the request has decided it
 * already. If-Range is judged here. Several ranges of what is not at hand: RANGE_NO.
 */
enum range_outcome deliver_range(struct weir_exchange *x, struct http_head *view,
                                 const struct range_whole *whole);

#endif
