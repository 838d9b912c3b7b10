/*
 * negotiate.h - in which content coding a response goes to this client.
 *
 *   lookup: negotiate_look() in the tier -> negotiate_stored() -> deliver_stored()
 *                                                   '-> waits until the coding has been made
 *   lookup: deliver_fill() -> negotiate_fill(): coded on the way, or not
 *
 * A client gets the acceptable coding it likes best: highest weight, then zstd, br, gzip, identity.
 * What the origin sent coded goes out so to all who accept that. A request with a Range gets what
 * the origin sent, for only of that parts are cut. Sub-exchanges get identity: their content
 * becomes part of another.
 *
 * Source: RFC 9110 12.1, 12.5.3, 8.8.3.3.
 */
#ifndef NEGOTIATE_H
#define NEGOTIATE_H

#include "exchange.h"
#include "http_accept_encoding.h"

struct fill_head;
struct recoder_settings;

/* Chooses for a stored response that is about to answer x: sets x->form. In a tier_match. */
void negotiate_look(struct weir_exchange *x, const struct stored_response *r);

/*
 * x->stored answers: delivers it, at once or when the coding that x shall get has been made; if
 * that takes long or fails, in another one. stored: for Cache-Status.
 */
enum exchange_verdict negotiate_stored(struct weir_exchange *x, bool stored);

/* Stops waiting. Harmless when x does not wait. */
void negotiate_cancel(struct weir_exchange *x);

/* The coding in which x gets the content of its fill; other than h->coding: made on the way. */
enum coding negotiate_fill(struct weir_exchange *x, const struct fill_head *h);

/* May x be sent a stored content in this coding? */
bool negotiate_accepts(struct weir_exchange *x, enum coding c);

/* The coding whose entity-tag x's If-None-Match lists, if x accepts that coding; CODING_OTHER:
 * none. etag: the origin's, of its coding `sent`. */
enum coding negotiate_listed(struct weir_exchange *x, struct weir_span etag, enum coding sent);

/* How stored content of this site is coded. */
void negotiate_levels(const struct site *site, struct recoder_settings *out);

#endif
