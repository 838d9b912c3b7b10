#include "memory_watch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHED_PERCENT   90
#define REFUSE_PERCENT 95
#define BACK_PERCENT   2

/* One number of a file; 0 if there is none ("max"). */
static uint64_t read_number(const char *path)
{
    FILE *f = fopen(path, "re");
    unsigned long long n = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%llu", &n) != 1)
        n = 0;
    fclose(f);
    return n;
}

uint64_t memory_watch_resident(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long size = 0, resident = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The tightest limit from our control group up to the root (cgroup v2). */
static uint64_t group_limit(void)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[512], path[640];
    uint64_t least = 0;
    char *group;

    if (f == NULL)
        return 0;
    group = fgets(line, sizeof line, f) != NULL ? strstr(line, "::") : NULL;
    fclose(f);
    if (group == NULL)
        return 0;
    group += 2;
    group[strcspn(group, "\n")] = '\0';
    while (group[0] != '\0') {
        char *slash = strrchr(group, '/');
        uint64_t limit;

        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
        limit = read_number(path);
        if (limit != 0 && (least == 0 || limit < least))
            least = limit;
        if (slash == NULL)
            break;
        *slash = '\0';
    }
    return least;
}

static uint64_t machine_bytes(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

enum exchange_pressure memory_pressure(uint64_t used, uint64_t budget,
                                       enum exchange_pressure before)
{
    uint64_t percent = budget >= 100 ? used / (budget / 100) : 0;
    uint64_t shed = SHED_PERCENT - (before >= PRESSURE_SHED ? BACK_PERCENT : 0);
    uint64_t refuse = REFUSE_PERCENT - (before >= PRESSURE_REFUSE ? BACK_PERCENT : 0);

    if (percent >= refuse)
        return PRESSURE_REFUSE;
    return percent >= shed ? PRESSURE_SHED : PRESSURE_NONE;
}

enum exchange_pressure memory_watch(uint64_t budget, enum exchange_pressure before)
{
    uint64_t used = memory_watch_resident();

    if (budget == 0) {
        uint64_t group = group_limit();

        budget = machine_bytes();
        if (group != 0 && group < budget)
            budget = group;
    }
    return used == 0 || budget == 0 ? before : memory_pressure(used, budget, before);
}
