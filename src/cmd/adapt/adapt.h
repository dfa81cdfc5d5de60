/* adapt: what other commands know of `kungfu adapt`. */
#ifndef CMD_ADAPT_H
#define CMD_ADAPT_H

#include "cmd/command.h"

#define ADAPT_FILE "adapt.json"

/* Is this the folder of such a run? */
bool adapt_is(const char *dir);
/* Goes on where it was, with the same choices; the exit status, or −1 and a sentence. */
int adapt_resume(struct app *app, const struct common *common, const char *dir, struct err *e);

#endif
