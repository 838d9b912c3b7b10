/*
 * weirctl top: the farm, live. The picture is made of text by ctl_view_top(), colours and all; here
 * it is put on the screen, and keys are obeyed.
 */
#include <locale.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl_farm.h"
#include "ctl_text.h"
#include "ctl_view.h"

#include <term.h> /* last: its macros have the names of half the world */

#define INTERVAL_MS  2000
#define INTERVAL_MAX 60000
#define INTERVAL_MIN 250
#define FILTER_MAX   64

struct screen {
    struct ctl_options o; /* a copy: complaints go elsewhere */
    struct ctl_top top;
    char filter[FILTER_MAX], message[256];
    bool typing; /* the filter */
    bool quit;
    json_t *farm;
    int64_t asked_ms; /* when `farm` was asked for */
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- looking ---- */

/* The first line of what was complained, without our name. */
static void keep_complaint(struct screen *s, const char *text)
{
    static const char name[] = "weirctl: ";

    if (strncmp(text, name, sizeof name - 1) == 0)
        text += sizeof name - 1;
    snprintf(s->message, sizeof s->message, "no answer: %.*s", (int)strcspn(text, "\n"), text);
    s->top.message = s->message;
}

/* What was seen last stays in the picture when nobody answers. */
static enum ctl_exit ask(struct screen *s)
{
    char *text = NULL;
    size_t len = 0;
    json_t *farm;
    int64_t now;
    enum ctl_exit status;

    s->o.complaints = open_memstream(&text, &len);
    if (s->o.complaints == NULL)
        return CTL_DOWN;
    status = ctl_farm(&s->o, &farm);
    fclose(s->o.complaints);
    s->o.complaints = NULL;
    now = now_ms();
    if (status == CTL_FINE) {
        ctl_view_rates(farm, s->farm, now - s->asked_ms);
        json_decref(s->farm);
        s->farm = farm;
        s->asked_ms = now;
        s->top.message = NULL;
    } else {
        keep_complaint(s, text);
    }
    free(text); /* open_memstream's */
    return status;
}

/* ---- the screen ---- */

/* The number of an escape of ctl_colour(): "\033[31m". */
static attr_t attribute_of(const char *escape)
{
    switch (atoi(escape + 2)) {
    case 1:
        return A_BOLD;
    case 2:
        return A_DIM;
    case 31:
        return COLOR_PAIR(1);
    case 32:
        return COLOR_PAIR(2);
    case 33:
        return COLOR_PAIR(3);
    default:
        return A_NORMAL;
    }
}

static const char *put_line(const char *text)
{
    while (*text != '\0' && *text != '\n') {
        size_t len = strcspn(text, "\033\n");

        addnstr(text, (int)len);
        text += len;
        if (*text == '\033') {
            attrset(attribute_of(text));
            text += strcspn(text, "m");
            text += *text == 'm';
        }
    }
    return *text == '\n' ? text + 1 : text;
}

static void put_prompt(struct screen *s, int line)
{
    char text[160];

    if (s->typing)
        snprintf(text, sizeof text, "only: %s_  (Enter: done)", s->filter);
    else
        snprintf(text, sizeof text,
                 "q quit  / filter  sort: n name  r requests  e errors  h hits  l load  + - speed");
    attrset(A_DIM);
    mvaddnstr(line, 0, text, COLS);
    attrset(A_NORMAL);
}

static void draw(struct screen *s)
{
    struct ctl_look look = {.width = COLS > 0 ? (unsigned)COLS : 80, .colours = has_colors()};
    char *text = NULL;
    const char *rest;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL)
        return;
    s->top.height = LINES > 1 ? (unsigned)LINES - 1 : 1;
    ctl_view_top(out, &look, &s->top, s->farm);
    fclose(out);
    erase();
    rest = text;
    for (int line = 0; line < LINES - 1 && *rest != '\0'; line++) {
        move(line, 0);
        rest = put_line(rest);
    }
    put_prompt(s, LINES - 1);
    refresh();
    free(text);
}

static bool open_screen(void)
{
    int known = 0;

    /* Asked first, since newterm() of a terminal that nobody knows loses memory. */
    if (setupterm(NULL, STDOUT_FILENO, &known) != OK)
        return false;
    del_curterm(cur_term);
    if (newterm(NULL, stdout, stdin) == NULL)
        return false;
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    if (has_colors()) {
        start_color();
        use_default_colors();
        init_pair(1, COLOR_RED, -1);
        init_pair(2, COLOR_GREEN, -1);
        init_pair(3, COLOR_YELLOW, -1);
    }
    return true;
}

/* ---- keys ---- */

static void type(struct screen *s, int key)
{
    size_t len = strlen(s->filter);

    if (key == '\n' || key == '\r' || key == KEY_ENTER || key == 27)
        s->typing = false;
    else if ((key == KEY_BACKSPACE || key == 127 || key == 8) && len > 0)
        s->filter[len - 1] = '\0';
    else if (key > ' ' && key < 127 && len + 1 < FILTER_MAX)
        s->filter[len] = (char)key, s->filter[len + 1] = '\0';
}

static void change_speed(struct screen *s, bool faster)
{
    int64_t ms = faster ? s->top.interval_ms / 2 : s->top.interval_ms * 2;

    s->top.interval_ms = ms < INTERVAL_MIN ? INTERVAL_MIN : ms > INTERVAL_MAX ? INTERVAL_MAX : ms;
}

static void obey(struct screen *s, int key)
{
    static const struct {
        char key;
        const char *sort;
    } sorts[] = {{'n', "name"}, {'r', "requests"}, {'e', "errors"}, {'h', "hits"}, {'l', "load"}};

    if (s->typing) {
        type(s, key);
        return;
    }
    for (size_t i = 0; i < sizeof sorts / sizeof sorts[0]; i++)
        if (key == sorts[i].key)
            s->top.sort = sorts[i].sort;
    s->quit = key == 'q' || key == 'Q';
    s->typing = key == '/';
    if (s->typing)
        s->filter[0] = '\0';
    if (key == '+' || key == '-')
        change_speed(s, key == '+');
}

static void run(struct screen *s)
{
    int64_t due = 0;

    while (!s->quit) {
        int64_t now = now_ms();
        int key;

        if (now >= due) {
            ask(s);
            due = now_ms() + s->top.interval_ms;
            now = now_ms();
        }
        draw(s);
        timeout((int)(due > now ? due - now : 0));
        key = getch();
        if (key == ERR && !isatty(STDIN_FILENO))
            return; /* the terminal has gone */
        if (key != ERR && key != KEY_RESIZE)
            obey(s, key);
        if (due > now_ms() + s->top.interval_ms)
            due = now_ms() + s->top.interval_ms;
    }
}

/* ---- the command ---- */

/* One picture; with an interval two looks, so that there are rates. */
static enum ctl_exit once(struct screen *s)
{
    struct ctl_look look = ctl_look_at(stdout, s->o.colours);
    struct timespec pause = {(time_t)(s->o.interval_ms / 1000),
                             (long)(s->o.interval_ms % 1000) * 1000000};
    enum ctl_exit status = ctl_farm(&s->o, &s->farm);

    if (status == CTL_FINE && s->o.interval_ms > 0) {
        s->asked_ms = now_ms();
        nanosleep(&pause, NULL);
        ask(s);
    }
    if (status != CTL_FINE)
        return status;
    if (s->o.json)
        ctl_print_json(s->farm);
    else
        ctl_view_top(stdout, &look, &s->top, s->farm);
    return (enum ctl_exit)ctl_view_worst(s->farm, CTL_ABOUT_ALL);
}

static enum ctl_exit live(struct screen *s)
{
    enum ctl_exit status;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        fputs("weirctl: top needs a terminal; --once prints one picture\n", stderr);
        return CTL_USAGE;
    }
    status =
        ctl_farm(&s->o, &s->farm); /* before the screen is taken, so that complaints are seen */
    if (status != CTL_FINE)
        return status;
    s->asked_ms = now_ms();
    if (!open_screen()) {
        fputs("weirctl: this terminal is not known: set TERM; --once prints one picture\n", stderr);
        return CTL_USAGE;
    }
    run(s);
    endwin();
    return CTL_FINE;
}

enum ctl_exit ctl_top(const struct ctl_options *o)
{
    struct screen s = {.o = *o};
    enum ctl_exit status;

    s.top.interval_ms = o->interval_ms > 0 ? (int64_t)o->interval_ms : INTERVAL_MS;
    if (s.top.interval_ms < INTERVAL_MIN)
        s.top.interval_ms = INTERVAL_MIN;
    s.top.sort = o->sort;
    s.top.filter = s.filter;
    status = o->once || o->json ? once(&s) : live(&s);
    json_decref(s.farm);
    return status;
}
