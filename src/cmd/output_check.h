/* output_check: an output is never an input. */
#ifndef CMD_OUTPUT_CHECK_H
#define CMD_OUTPUT_CHECK_H

#include "base/opt.h"

/* Refuses where a file that the command would write (--out, --html, --details, --trace) is one that another option or
 * word names, under whatever name, or lies in a folder that one names. A file that is not there yet is no input. */
int output_check(const struct opt_parse *p, struct err *e);

#endif
