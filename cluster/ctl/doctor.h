/*
 * doctor.h - is this Redis as weir needs it? What was learnt of its nodes, and what is wrong with
 * it.
 *
 * Three steps, each in a file of its own: doctor_ask.c connects and asks, doctor_read.c takes
 * answers apart, doctor_rules.c judges. The last two are pure: bytes and values in, values out.
 *
 * Everything lies in the report's arena. A node is a peer: whatever it says ends in a value, in a
 * finding or in nothing.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir/arena.h"
#include "weir/span.h"

/* What this Redis is for. */
enum doctor_role {
    DOCTOR_CACHE = 1, /* farm.redis, with a state_redis beside it */
    DOCTOR_STATE = 2, /* farm.state_redis */
    DOCTOR_ONE = 4,   /* both in one */
};

const char *doctor_role_name(enum doctor_role role); /* "cache" "state" "one" */

/* ---- what was learnt ---- */

struct doctor_value {
    const char *name, *text;
};

struct doctor_values {
    struct doctor_value *at;
    size_t count;
};

/* The value of that name, or NULL. */
const char *doctor_value(const struct doctor_values *values, const char *name);

enum doctor_may { DOCTOR_UNKNOWN, DOCTOR_MAY, DOCTOR_MAY_NOT };

#define DOCTOR_RIGHTS_MAX 48
#define DOCTOR_NODES_MAX  256 /* further ones are not looked at */

struct doctor_node {
    const char *host; /* without brackets */
    uint16_t port;
    const char *address;   /* host:port, as people write it */
    const char *id;        /* "" if this is no cluster */
    const char *master_id; /* of a replica, else "" */
    bool replica;
    bool failed;    /* the cluster holds it for dead */
    bool suspected; /* some of it do */
    uint32_t slots; /* it owns */

    const char *trouble;           /* why it could not be asked; NULL: it was */
    bool settings_refused;         /* CONFIG GET is not permitted: settings is empty */
    struct doctor_values info;     /* INFO */
    struct doctor_values cluster;  /* CLUSTER INFO */
    struct doctor_values settings; /* CONFIG GET */
    bool clock_known;
    int64_t clock_ms;               /* how far its clock is ahead of ours */
    int64_t clock_doubt_ms;         /* and how far off that may be */
    bool no_password;               /* the default user got in without one */
    bool user_missing;              /* there is no such user */
    uint8_t may[DOCTOR_RIGHTS_MAX]; /* enum doctor_may, by doctor_rights[] */
};

struct doctor_report {
    struct weir_arena arena;
    enum doctor_role role;
    const char *user;  /* the node's user, whose rights are judged */
    bool clustered;    /* else one plain Redis */
    bool partly;       /* the list of nodes is not permitted: those of the configuration alone */
    uint32_t too_many; /* nodes that were not looked at */
    struct doctor_node *nodes;
    size_t node_count;
    struct doctor_finding *findings; /* the worst first */
    size_t finding_count, finding_room;
    bool out_of_memory;
};

void doctor_report_free(struct doctor_report *r); /* NULL does nothing */

/* ---- what is asked (doctor_rules.c) ---- */

/* The settings that rules look at, for CONFIG GET. */
extern const char *const doctor_settings[];
extern const size_t doctor_setting_count;

struct doctor_right {
    const char *words; /* a command that does no harm: its key is not there */
    bool needed;       /* else weir's user should not have it */
    bool harmless;     /* so much so that it may be tried where ACL DRYRUN is not permitted */
};

extern const struct doctor_right doctor_rights[];
extern const size_t doctor_right_count; /* at most DOCTOR_RIGHTS_MAX */

/* ---- taking answers apart (doctor_read.c). false: without memory ---- */

/* Lines "name:value", as of INFO. Comments and lines without a colon are left out. */
bool doctor_read_lines(struct weir_arena *a, struct weir_span text, struct doctor_values *out);

/*
 * CLUSTER NODES. asked: where it came from, for the node that does not know its own address. Nodes
 * without an address, in handshake and beyond DOCTOR_NODES_MAX are left out. names: prefer host
 * names to addresses, as certificates may demand.
 */
bool doctor_read_nodes(struct doctor_report *r, struct weir_span text, const char *asked,
                       bool names);

/* One node more, to be asked at host and port. NULL without memory or room. */
struct doctor_node *doctor_add_node(struct doctor_report *r, struct weir_span host, uint16_t port);

/* "host:port" or "[v6]:port". false: it is none. */
bool doctor_read_address(struct weir_span text, struct weir_span *host, uint16_t *port);

/* ---- judging (doctor_rules.c) ---- */

enum doctor_level {
    DOCTOR_BROKEN, /* weir cannot work with it, or only in part */
    DOCTOR_WRONG,  /* it works, until something happens */
    DOCTOR_NOTE,   /* worth knowing */
};

const char *doctor_level_name(enum doctor_level level); /* "broken" "wrong" "note" */

struct doctor_finding {
    enum doctor_level level;
    const char *id;      /* for programs: the setting, or a word */
    const char *what;    /* "maxmemory-policy is noeviction, should be allkeys-lfu" */
    const char *why;     /* a sentence */
    const char *command; /* of Redis, that changes it at once; NULL: none does */
    const char *line;    /* for its configuration file; NULL: none */
    const char *advice;  /* what else to do; NULL: nothing */
    uint32_t *nodes;     /* where, as indices; none: the whole */
    size_t node_count;
};

/* Fills r->findings. r->out_of_memory: it is not complete. */
void doctor_judge(struct doctor_report *r);

#endif
