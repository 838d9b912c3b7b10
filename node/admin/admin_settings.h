/*
 * admin_settings.h - how operators reach the node.
 */
#ifndef ADMIN_SETTINGS_H
#define ADMIN_SETTINGS_H

#include <stdint.h>

struct admin_settings {
    const char *socket; /* path of a Unix socket; "auto": where one can be made; "off" */
    uint32_t mode;      /* its permissions: 0660 */
};

#endif
