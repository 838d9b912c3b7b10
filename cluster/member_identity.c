#include "member_identity.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weir/alloc.h"
#include "member_brief.h"

static void host_name(char id[MEMBER_ID_MAX + 1])
{
    char name[HOST_NAME_MAX + 1] = "";

    if (gethostname(name, sizeof name) != 0 || name[0] == '\0')
        strcpy(name, "node");
    name[sizeof name - 1] = '\0';
    snprintf(id, MEMBER_ID_MAX + 1, "%.*s", MEMBER_ID_MAX, name);
    for (char *c = id; *c != '\0'; c++)
        if (!member_id_valid(weir_span(c, 1)))
            *c = '-';
}

void member_identity(const char *setting, char id[MEMBER_ID_MAX + 1])
{
    if (strcmp(setting, "auto") == 0)
        host_name(id);
    else
        snprintf(id, MEMBER_ID_MAX + 1, "%s", setting);
}

bool member_state_dir(const char *setting, char **dir)
{
    const char *path = setting;
    size_t len;

    *dir = NULL;
    if (strcmp(setting, "auto") == 0)
        path = getenv("STATE_DIRECTORY");
    if (path == NULL)
        return true;
    len = path == setting ? strlen(path) : strcspn(path, ":"); /* several are told with ':' */
    if (len == 0)
        return true;
    *dir = weir_strndup(path, len);
    return *dir != NULL;
}
