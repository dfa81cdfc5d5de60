/* option_needs: options that say nothing without another one. */
#ifndef CMD_OPTION_NEEDS_H
#define CMD_OPTION_NEEDS_H

#include "base/opt.h"

/* −1 and a sentence where one was given and none of those that it is of. */
int option_needs(const struct opt_parse *p, struct err *e);

#endif
