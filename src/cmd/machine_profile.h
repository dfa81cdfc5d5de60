/* machine_profile: this machine's profile (gas/profile.h) as commands use it: recalled, or measured and kept. */
#ifndef CMD_MACHINE_PROFILE_H
#define CMD_MACHINE_PROFILE_H

#include "cmd/command.h"
#include "gas/profile.h"

/* The entry of this processor, these kernels and threads; false, and zeros, where there is none or the file is
 * damaged. */
bool machine_recall(const struct app *app, struct profile *p);
/* The same as a plan wants it; without an entry the usual machine's, which a rate of 0 means. */
struct speeds machine_speeds(const struct app *app);
/* Measures, with the ops, for about two seconds, and keeps it; where it cannot be kept there is a warning. */
int machine_profile(struct app *app, struct profile *p, struct err *e);

#endif
