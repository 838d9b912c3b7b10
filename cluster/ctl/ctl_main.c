/*
 * weirctl - sees and steers the nodes of a farm.
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "ctl_farm.h"
#include "ctl_line.h"
#include "ctl_text.h"

static int help(const struct ctl_list *words)
{
    if (words->count == 0 || !ctl_help_of(ctl_commands, words, stdout))
        ctl_help_all(ctl_commands, stdout);
    return CTL_FINE;
}

int main(int argc, char **argv)
{
    const struct ctl_command *command;
    struct ctl_options o;

    setlocale(LC_CTYPE, ""); /* top asks the terminal's library for more than ASCII */
    if (argc > 1 && strcmp(argv[1], "__complete") == 0)
        return (int)ctl_complete(argc - 2, argv + 2);
    if (!ctl_line_read(ctl_commands, argc, argv, &o, &command, stderr))
        return CTL_USAGE;
    if (o.version) {
        puts("weirctl " WEIR_VERSION);
        return CTL_FINE;
    }
    if (o.help)
        return help(&o.words);
    if (command == NULL) {
        ctl_help_all(ctl_commands, stderr);
        return CTL_USAGE;
    }
    o.colours = ctl_colours(stdout);
    return (int)command->run(&o);
}
