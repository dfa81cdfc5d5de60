/* output_check: an output has a place, and is never an input. */
#ifndef CMD_OUTPUT_CHECK_H
#define CMD_OUTPUT_CHECK_H

#include <stdbool.h>

#include "base/opt.h"

enum output_kind { OUTPUT_FILE, OUTPUT_FOLDER, OUTPUT_EITHER };

/* Refuses where a file that the command would write (--out, --html, --details, …) is one that another option or word
 * names, under whatever name, or lies in a folder that one names; a file that is not there yet is no input. Refuses a
 * name, too, whose ending says another format than is written. */
int output_check(const struct opt_parse *p, struct err *e);
/* Refuses where one of them has no place: output_place of each. */
int output_places(const struct opt_parse *p, bool make, struct err *e);
/* One output, wherever its name comes from: what is there already is of its kind and may be written, else the folder
 * that it lies in may be. Where only the last part of that folder's name is missing it is made, if `make`. */
int output_place(const char *option, const char *path, enum output_kind kind, bool make, struct err *e);
/* Whether that is a pipe or a device: its name says no format. */
bool output_is_special(const char *path);

#endif
