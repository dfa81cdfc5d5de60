/* overview: what a person reads before a command runs: all commands on one screen, a group's commands, a command's
 * help. */
#ifndef CMD_OVERVIEW_H
#define CMD_OVERVIEW_H

#include "cmd/command.h"

void overview_print(void);                        /* all of them, a line each, in the order of a person's work */
bool overview_is_group(const char *word);         /* the first word of commands of two words, and no command itself */
void overview_print_group(const char *word);
void overview_print_planned(void);                /* those that `plan` plans */
void overview_print_help(const struct command *c);
char *overview_having(const char *option);        /* commands with an option of that name, mem_free; NULL for none */
const char *overview_nearest(int argc, char **argv); /* the command that was probably meant, NULL for none */

#endif
