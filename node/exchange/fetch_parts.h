/*
 * fetch_parts.h - what the files of a fetch share: fetch.c begins and ends it, fetch_answer.c hears
 * the origin, fetch_store.c judges and stores, fetch_validate.c has what is held validated.
 */
#ifndef FETCH_PARTS_H
#define FETCH_PARTS_H

#include "exchange.h"
#include "fetch.h"
#include "fetch_owed.h"
#include "resume.h"
#include "tags.h"
#include "vary.h"

struct compressible;
struct fetch_shared;
struct response_policy;
struct search_key;
struct share_lead;
struct stored_draft;

struct fetch {
    struct exchange_worker *w;
    struct fetch *next, **at; /* all of the worker */
    struct site_worker *site; /* counted */
    struct weir_arena arena;
    struct fill *fill;            /* reference */
    struct weir_exchange *leader; /* NULL once it has left */
    struct fetch_debt debt;       /* and on whose connection it is counted then */
    bool pass;
    bool grpc; /* a call of gRPC: its trailers go on */
    bool ended;
    bool prepared;  /* the request is written, and `req` is the fetch's own */
    bool abandoned; /* nobody reads it: it goes on for the farm alone */
    const struct route *route;
    struct http_head req; /* the leader's; a copy in the arena once it is prepared, if the answer
                             may be for others */
    struct weir_hash128 hash;
    struct weir_span query;      /* as keyed, before any rule of No-Vary-Search; ptr NULL: none */
    struct exchange_slice slice; /* what is asked for, if not the whole */
    struct stored_response *validating; /* reference */
    struct tags tags;                   /* of the response, once it is known to be storable */
    struct origin_upstream *upstream;
    const struct site_upstream *site_upstream;
    struct origin_request request;
    struct balance_hint hint;
    struct origin_fetch origin;
    struct fetch_shared *shared; /* the farm is asked first; NULL: it is not */
    struct share_lead *lead;     /* it is fetched for the farm; NULL: for this node */
    int64_t request_time_s;
    unsigned resumes;            /* times the rest was asked for */
    struct resume_extent extent; /* what is fetched, when the rest is asked for */
    uint64_t rest_end;           /* the byte behind the last of the rest being read */
    struct weir_err broke;       /* why it had to be asked for */
    struct net_deferred wake, gone;
    /* always written before they are read: not cleared when a fetch is used again */
    struct http_head trailers;
    struct vary_spec vary;
};

static inline int64_t fetch_now_s(const struct fetch *f)
{
    return f->w->loop->clock.wall_s;
}

/* ---- fetch.c ---- */

/* It is over, however: lets go of everything; the memory goes at the end of the turn. */
void fetch_finish(struct fetch *f);
/* What came is of no use to anybody: who waits gets the error. */
void fetch_give_up(struct fetch *f, const struct weir_err *err);
/* Everyone who waits looks again: there is something better by now. */
void fetch_send_back(struct fetch *f);
/* Writes the request, if that has not been done, as long as its leader is there. false: *err. */
bool fetch_prepare(struct fetch *f, struct weir_err *err);
/* The origin wants no early data (425), and by now it is none any more: it is asked again (RFC 8470
 * 5.2). false: the answer stands. */
bool fetch_asks_late(struct fetch *f);
/* The farm does not have it. */
void fetch_ask_origin(struct fetch *f);

/* ---- fetch_answer.c ---- */

extern const struct origin_events fetch_origin_events;

/* The content has broken off: the rest is asked for at the origin, or it breaks off for those who
 * read it. */
void fetch_broke_off(struct fetch *f, const struct weir_err *err);

/* ---- fetch_store.c ---- */

/* What the policy makes of a response to this request. */
void fetch_judge(struct fetch *f, const struct http_head *head, struct response_policy *policy);
/* The head of a stored GET response as it will be: a HEAD may have asked for it. */
void fetch_judge_as_get(struct fetch *f, const struct http_head *head,
                        struct response_policy *policy);
/* How the coding of this response's content is dealt with. length: -1 unknown. storable: as far as
 * the policy goes. */
void fetch_judge_coding(const struct fetch *f, const struct http_head *head, int64_t length,
                        bool storable, struct compressible *out);
/* What is for the client alone whose request this is does not go where others take it from. */
bool fetch_give_own(struct fetch *f, const struct http_head *head,
                    const struct response_policy *policy, struct weir_err *err);
/* Reads what selects the variant into f->vary. any_client: its coding suits everyone. */
void fetch_read_vary(struct fetch *f, const struct http_head *head, bool any_client);
/* What the response says of its query: the rule, and whether the fill stands under the right key.
 */
bool fetch_read_search(struct fetch *f, const struct http_head *head, struct search_key *k);
/* The tags of a response that may be stored, those in `kept` if it names none itself. false: no
 * memory. */
bool fetch_note_tags(struct fetch *f, const struct http_head *head, struct weir_span kept);
/* Was it purged, in any way, since this fetch began? Its tags count once they are known. */
bool fetch_is_purged(struct fetch *f);
/* A draft with what the fetch knows of the key and the head, but no content yet. */
void fetch_draft(const struct fetch *f, const struct fill_head *h, struct stored_draft *d);
/* Leaves a hit-for-miss marker. head NULL: whatever the variant. */
void fetch_mark(struct fetch *f, const struct http_head *head, const char *why);
/* Stores r, unless it was purged since this fetch began. Nobody joins from here on. */
bool fetch_keep(struct fetch *f, struct stored_response *r);
/* Stores what the fill has come to, if it may be stored. */
void fetch_store(struct fetch *f);

/* ---- fetch_shared.c ---- */

/* Asks the farm for it, if that is to be. behind: nobody waits for it. false: ask the origin. */
bool fetch_shared_begin(struct fetch *f, const struct weir_exchange *x, bool behind);
/* The window is open again. */
void fetch_shared_space(struct fetch *f);
/* In any state. */
void fetch_shared_end(struct fetch *f);

/* ---- fetch_share.c: what comes from the origin, for the farm. Harmless without a lead. ---- */

/* How large may it be that it is stored somewhere? */
uint64_t fetch_share_max(const struct fetch *f);
/* The fill is open: large content is stored as it comes. */
void fetch_share_open(struct fetch *f);
/* A piece that the fill is about to get. false: hold the origin back. */
bool fetch_share_data(struct fetch *f, struct weir_slice s);
bool fetch_share_streams(const struct fetch *f);
/* It is complete. r: as it is stored here; NULL: it is not. */
void fetch_share_store(struct fetch *f, struct stored_response *r);
/* r is what a validation has made of what was stored. */
void fetch_share_freshened(struct fetch *f, struct stored_response *r);
/* It cannot be stored, and nobody shall wait for it again. */
void fetch_share_mark(struct fetch *f, const struct stored_response *marker);
/* It cannot be stored. */
void fetch_share_nothing(struct fetch *f);
/* The lead has room again: its event. */
void fetch_share_room(struct share_lead *l, void *arg);

/* ---- fetch_validate.c ---- */

/* A 304 for what we hold, or what says as much: everyone who waits is answered from it. */
void fetch_not_modified(struct fetch *f, const struct http_head *head);
/* A HEAD that was to validate, and was answered 200: does it validate all the same? */
bool fetch_head_validates(struct fetch *f, const struct http_head *head);
/* The origin cannot answer, but what we hold may still serve (RFC 5861 4): then true. */
bool fetch_answer_stale(struct fetch *f, int status, const char *why);

#endif
