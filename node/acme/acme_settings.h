/*
 * acme_settings.h - certificates that an operator wants to be obtained and renewed (RFC 8555).
 */
#ifndef ACME_SETTINGS_H
#define ACME_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum acme_key_type { ACME_EC256, ACME_EC384, ACME_RSA2048, ACME_RSA3072, ACME_RSA4096 };

struct acme_certificate_settings {
    const char **names; /* DNS names, no wildcards; the first one is what people call it by */
    size_t name_count;
};

struct acme_settings {
    const char *directory; /* https://... */
    const char *email;     /* "": none */
    bool terms_agreed;     /* to those of the directory; needed */
    enum acme_key_type key_type;
    int64_t renew_before_ms; /* 0: when a third of its life is left */
    const char *client;      /* the program that speaks ACME: uacme */
    struct acme_certificate_settings *certificates;
    size_t certificate_count; /* 0: none of this is done */
};

#endif
