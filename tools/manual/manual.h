/* manual: man pages and completions, made from the same tables of options that parse the command line.
 *
 *     manual man DIR DATE     kungfu.1 and a page for each command, into DIR
 *     manual bash|zsh|fish    a completion script, on standard output */
#ifndef MANUAL_H
#define MANUAL_H

#include <stddef.h>

#include "cmd/command.h"

/* What a value is, for who completes it. */
enum value { VALUE_NONE, VALUE_ANY, VALUE_CHOICE, VALUE_FILE, VALUE_DIR, VALUE_MODEL, VALUE_RECIPE, VALUE_COMMAND };

enum value value_of(const struct opt *o);
/* What the command's words are that are no options, from its usage; the last one goes for all that follow. */
size_t positionals(const struct command *c, enum value out[8]);
size_t command_list(const struct command *out[64]); /* in the order of a person's work */
const struct opt *options_of(const struct command *c); /* with those that rows of other tables bring; kept to the end */

int man_write(const char *dir, const char *date);
void bash_print(void);
void zsh_print(void);
void fish_print(void);

#endif
