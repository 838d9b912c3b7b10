/*
 * admin_settings.h - how operators reach the node.
 */
#ifndef ADMIN_SETTINGS_H
#define ADMIN_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#define ADMIN_TOKEN_LEAST 32 /* bytes */

/* What somebody may do; each may do what those before it may. */
enum admin_role {
    ADMIN_NOBODY,
    ADMIN_READ,    /* look */
    ADMIN_OPERATE, /* change */
};

/* What may be had over TCP without a token. */
enum admin_open {
    ADMIN_OPEN_METRICS = 1,
    ADMIN_OPEN_READY = 2,
    ADMIN_OPEN_LIVE = 4,
};

struct admin_token_settings {
    const char *name; /* in the audit log */
    const char *token_file;
    enum admin_role role;
};

struct admin_tcp_settings {
    const char *address;                     /* ""; no listener */
    const char *certificate_file, *key_file; /* "": no TLS; on loopback addresses alone */
    const char *client_ca_file;              /* "": no certificate is asked for */
    struct admin_token_settings *tokens;
    size_t token_count;
    uint32_t without_token;           /* bits of enum admin_open */
    uint32_t connections;             /* 64 */
    uint32_t connections_per_address; /* 16 */
};

struct admin_settings {
    const char *socket;     /* path of a Unix socket; "auto": where one can be made; "off" */
    uint32_t mode;          /* its permissions: 0660 */
    const char *user;       /* to whom it belongs; NULL or "": whoever weir runs as */
    const char *group;      /* likewise */
    uint32_t connections;   /* to it: 64 */
    const char *audit_file; /* JSON lines, one for each change; "": none beside the error log */
    struct admin_tcp_settings tcp;
};

#endif
